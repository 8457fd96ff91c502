"""Where a prompt comes from: the sentence people put before it, by family and level, easy to hard."""

from __future__ import annotations

SETTINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "arithmetic": (
        ("My seven-year-old has this for homework:", "From a primary school worksheet:", "A simple sum for beginners:"),
        ("From a school test:", "I want to check my shopping bill:", "For a practice sheet in grade six:"),
        ("From a high school textbook:", "For a bookkeeping course:", "For an adult education class:"),
        ("From a university entrance exam:", "For trainee actuaries:", "From an engineering qualifying test:"),
        ("From a mathematics olympiad:", "A contest problem that most entrants got wrong:", "For graduate students:"),
    ),
    "logic": (
        ("A riddle for small children:", "A warm-up puzzle:", "From a kindergarten activity book:"),
        ("From the puzzle page of a newspaper:", "For a family quiz night:", "A brain teaser for teenagers:"),
        ("From an aptitude test for job applicants:", "From a puzzle magazine:", "For a discrete mathematics class:"),
        ("From a law school admission test:", "From the regional logic championship:", "For a proof theory tutorial:"),
        ("From the world puzzle championship:", "A notorious problem from formal logic:", "For automated provers:"),
    ),
    "code": (
        ("I am learning to program.", "This is my first week of coding.", "For an introductory course:"),
        ("For a homework assignment:", "For a small script of mine:", "For a hobby project:"),
        ("For an internal tool at work:", "For a job interview:", "For a web application:"),
        ("For a service with millions of users:", "For a database engine:", "For a senior engineer's code review:"),
        ("For an operating system kernel:", "For a verified compiler:", "For a high-frequency trading system:"),
    ),
    "extraction": (
        ("A clean form, typed by machine:", "One short note:", "A standard form letter:"),
        ("From an e-mail inbox:", "A routine business message:", "From an office assistant:"),
        ("Copied from a long thread:", "From a customer file:", "Text from a scanned page:"),
        ("Badly scanned, please be careful:", "Several sources pasted together:", "From a court exhibit:"),
        ("Damaged records for a forensic audit:", "Contradictory sources; state every doubt:", "From a seized disk:"),
    ),
    "rewriting": (
        ("For a postcard:", "For a text message to a friend:", "For a beginner's phrase book:"),
        ("For an everyday e-mail:", "For a note to the neighbours:", "For a school newsletter:"),
        ("For a company circular:", "For a travel brochure:", "For a letter to a client:"),
        ("For a sworn statement:", "For a diplomatic letter:", "For an academic preface:"),
        ("For a literary anthology; keep the rhythm:", "For a treaty, word by word:", "For a verse play:"),
    ),
    "open_questions": (
        ("Just curious:", "For a picture book:", "A quick question:"),
        ("For a school talk:", "For a pub conversation:", "For my diary:"),
        ("For a popular blog:", "For an evening lecture:", "For a local newspaper:"),
        ("For a graduate seminar:", "For an expert panel:", "For a policy paper:"),
        ("For the review section of a journal:", "For a doctoral defence:", "For a contested court hearing:"),
    ),
    "classification": (
        ("An easy one:", "A clear case for training:", "Sample item:"),
        ("From the daily queue:", "A usual item:", "Next in the list:"),
        ("Flagged by one reader:", "For the second pass:", "Please look twice:"),
        ("Readers were split on this:", "For the senior annotators:", "An ambiguous item:"),
        ("Annotators never agreed on this, irony included:", "For the adjudication panel:", "A known trap:"),
    ),
    "summarising": (
        ("A short note:", "For a sticky note:", "For a chat message:"),
        ("For the weekly mail:", "For the notice board:", "For a colleague on holiday:"),
        ("For the department's records:", "For the quarterly report:", "For a project archive:"),
        ("For the supervisory board:", "For an external auditor:", "For the insurer's lawyers:"),
        ("For a public inquiry; nothing may be lost:", "For the regulator, with liabilities:", "For sworn testimony:"),
    ),
}  # fmt: skip
