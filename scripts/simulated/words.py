"""Words that the templates of the simulated benchmark are filled with, and seeded choices among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

NAMES = (
    "Mara", "Tomas", "Priya", "Jonas", "Aiko", "Femi", "Lucia", "Omar", "Greta", "Ravi", "Nadia", "Pavel",
    "Imani", "Bruno", "Sofia", "Kofi", "Elena", "Hugo", "Mei", "Anton", "Zara", "Felix", "Leila", "Marek",
    "Ines", "Daniel", "Yuki", "Clara", "Samir", "Ida", "Victor", "Amara", "Oskar", "Rosa", "Theo", "Noor",
    "Emil", "Hana", "Petra", "Luis", "Freya", "Karim", "Alma", "Dario", "Signe", "Tariq", "Vera", "Milan",
)  # fmt: skip

PLACES = (
    "Brackwater", "Eastmere", "Holmstad", "Port Avery", "Kestrelton", "Lindow", "Marrowby", "Northgate",
    "Old Quarry", "Pinefield", "Ravensford", "Saltmarsh", "Thornbury Hill", "Upper Dell", "Valmora", "Westlake",
    "Ashcombe", "Birchhaven", "Cold Spring", "Dunmere", "Elmsworth", "Fairhollow", "Greywater", "Highcliff",
)  # fmt: skip

COMPANIES = (
    "Bluefern Supplies", "Cobalt & Reed", "Dovemoor Furniture", "Everbarrow Foods", "Fernhill Optics",
    "Glasswater Travel", "Harrow Tools", "Ivory Lane Books", "Jarrow Lane Cycles", "Kitemoor Energy",
    "Brightsea Dental", "Millhythe Farms", "Nettle Software", "Oakmarrow Insurance", "Pebbleshore Telecom",
    "Quillmark Printing", "Redholm Logistics", "Palebirch Clinic", "Tidewend Hotels", "Duskfield Lighting",
)  # fmt: skip

GOODS = (
    "notebooks", "pencils", "mugs", "candles", "light bulbs", "tomato plants", "tickets", "batteries", "lemons",
    "T-shirts", "screwdrivers", "picture frames", "blankets", "water bottles", "cinema vouchers", "plates",
    "paint rollers", "bags of flour", "boxes of tea", "headphones", "umbrellas", "garden gloves", "cushions",
    "postcards", "bread rolls", "jars of honey", "phone cases", "bicycle tubes",
)  # fmt: skip

DEVICES = {
    "kitchen": (
        "kettle", "espresso machine", "air fryer", "bread knife", "blender", "rice cooker", "frying pan", "toaster",
    ),
    "office": (
        "desk lamp", "wireless keyboard", "office chair", "label printer", "webcam", "paper shredder", "whiteboard",
    ),
    "garden": (
        "garden hose", "lawn mower", "hedge trimmer", "wheelbarrow", "greenhouse heater", "bird feeder", "compost bin",
    ),
    "sport": (
        "tent", "yoga mat", "backpack", "rain jacket", "rowing machine", "helmet", "sleeping bag", "racket",
    ),
    "electronics": (
        "headset", "phone charger", "smart thermostat", "bluetooth speaker", "tablet", "e-book reader", "router",
    ),
}  # fmt: skip


THINGS = tuple(device for devices in DEVICES.values() for device in devices)

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip

NONSENSE = (
    "glims", "torvs", "plandles", "wexers", "brindles", "snarps", "quillows", "drabbits", "fennets", "morgles",
    "tavics", "ploons", "zebbles", "krines", "dalthers", "oskins", "vorples", "humbels", "jaspens", "yimmers",
)  # fmt: skip

# How hard a language is for the average model, in standard deviations of difficulty.
LANGUAGES = {
    "French": -0.6, "Spanish": -0.7, "German": -0.5, "Italian": -0.5, "Portuguese": -0.3, "Polish": 0.0,
    "Japanese": 0.2, "Arabic": 0.3, "Finnish": 0.4, "Swahili": 0.8, "Icelandic": 0.9, "Welsh": 1.0,
}  # fmt: skip

PROGRAMMING_LANGUAGES = {
    "Python": -0.5, "JavaScript": -0.3, "Java": -0.1, "Go": 0.1, "Rust": 0.7, "Bash": 0.3, "Haskell": 1.0,
}  # fmt: skip

CONCEPTS = {
    "physics": (
        "entropy", "why the sky is blue", "how a refrigerator moves heat", "angular momentum", "superconductivity",
        "the Doppler effect", "why ships float", "quantum tunnelling", "standing waves", "special relativity",
    ),
    "biology": (
        "photosynthesis", "how vaccines train the immune system", "natural selection", "the Krebs cycle",
        "gene regulation", "how nerves carry signals", "symbiosis", "protein folding", "the carbon cycle",
    ),
    "economics": (
        "inflation", "opportunity cost", "why central banks raise interest rates", "comparative advantage",
        "moral hazard", "the prisoner's dilemma", "price elasticity", "auction design", "public goods",
    ),
    "law": (
        "the presumption of innocence", "how a contract is formed", "copyright and fair use", "negligence",
        "the separation of powers", "precedent in common law", "limited liability", "habeas corpus",
    ),
    "computing": (
        "recursion", "public-key encryption", "how a database index works", "garbage collection", "hash tables",
        "the CAP theorem", "race conditions", "caching", "how DNS finds a server", "version control",
    ),
    "history": (
        "why the printing press mattered", "the causes of the fall of Rome", "the Silk Road", "the Black Death",
        "the Industrial Revolution", "decolonisation", "the Cuban missile crisis", "the Hanseatic League",
    ),
    "cooking": (
        "the Maillard reaction", "how bread rises", "emulsions such as mayonnaise", "fermentation", "tempering",
        "why resting meat matters", "how salt changes taste", "blanching vegetables",
    ),
    "health": (
        "how sleep affects memory", "the difference between viruses and bacteria", "insulin resistance",
        "why stretching helps", "blood pressure", "the placebo effect", "how pain works", "iron deficiency",
    ),
}  # fmt: skip

AUDIENCES = (
    "a ten-year-old", "a curious teenager", "a first-year student", "my grandmother", "a busy manager",
    "someone who missed the lecture", "a specialist in another field", "a new colleague", "an evening class",
)  # fmt: skip

PROJECTS = {
    "software": (
        "data warehouse migration", "booking page", "mobile app relaunch", "payroll system upgrade", "search rewrite",
        "single sign-on rollout",
    ),
    "buildings": (
        "office move", "solar roof installation", "bridge inspection", "school library extension", "lift replacement",
        "fire door survey",
    ),
    "culture": (
        "summer festival", "museum audio guide", "choir tour", "film archive", "poetry prize", "street theatre season",
    ),
    "environment": (
        "river clean-up", "tree census", "bus timetable reform", "recycling trial", "wetland restoration", "noise map",
    ),
    "staff": (
        "staff handbook", "mentoring scheme", "customer survey", "safety training", "shift planning pilot",
        "apprentice programme",
    ),
}  # fmt: skip


UNDERTAKINGS = tuple(project for projects in PROJECTS.values() for project in projects)

SERVICES = (
    "auth", "billing", "search", "mailer", "checkout", "uploads", "reports", "gateway", "scheduler", "profile",
)  # fmt: skip

PRAISE = (
    "it works exactly as described", "my whole family loves it", "it was cheaper than I expected",
    "it still looks new after a year", "support answered within an hour", "I would buy it again",
)  # fmt: skip
COMPLAINTS = (
    "it stopped working after two weeks", "the manual is useless", "it is louder than the old one",
    "the parcel arrived open", "nobody answers my mails", "the colour is nothing like the picture",
)  # fmt: skip
IRONY = (
    "Great, if you enjoy returning things.", "I have never been so entertained by a refund form.",
    "It does make a fine doorstop.", "Not that I would call it bad.", "My expectations were low and it met them.",
)  # fmt: skip
INTENTS = (
    "refund", "delivery status", "change of address", "complaint", "cancel contract", "technical problem",
    "invoice copy", "praise", "price question", "password reset", "opening hours", "data protection",
)  # fmt: skip

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

T = TypeVar("T")


class Draw:
    """Uniform choices from one numpy generator, so that a seed fixes every text."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high, both possible."""
        return int(self._rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Distinct options in random order."""
        return [options[index] for index in self._rng.permutation(len(options))[:count]]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        return self.sample(options, len(options))

    def date(self, months: Sequence[str]) -> str:
        return f"{self.number(1, 28)} {self.pick(months)}"

    def price(self, low: int, high: int) -> str:
        """Dollars and cents, or whole dollars."""
        dollars = self.number(low, high)
        return f"${dollars}.{self.pick((25, 40, 50, 75, 80, 95))}" if self.chance(0.6) else f"${dollars}"


@dataclass(frozen=True)
class Text:
    """What a template makes: the prompt, the topic models may be strong or weak in, and how much harder
    (in standard deviations of difficulty) the topic makes it."""

    text: str
    topic: str = ""
    harder: float = 0.0


# From a source of choices and a level, 0 (easy) to 4 (hard), to a text in which the level can be seen:
# more steps, more people, larger numbers, longer material, more constraints.
Template = Callable[[Draw, int], Text]
HARDEST = 4


def listed(parts: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def joined(*sentences: str) -> str:
    """One paragraph of the sentences that are not empty."""
    return " ".join(sentence for sentence in sentences if sentence)
