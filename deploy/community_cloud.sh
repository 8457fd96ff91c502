#!/bin/sh
# Publish the last commit for Streamlit Community Cloud: deploy/community_cloud.sh [REMOTE]
# It goes to the branch `streamlit` of a GitHub repository, which the site follows: to publish again, run it again.
set -eu
cd "$(dirname "$0")/.."
remote=${1:-origin}
address=$(git remote get-url "$remote")
repository=$(echo "$address" | sed -nE 's#^.*github\.com[:/]([^/]+/[^/]+)$#\1#p' | sed 's/\.git$//')
if [ -z "$repository" ]; then
    echo "Community Cloud reads from GitHub, and $remote is $address." >&2
    exit 1
fi
git push --force "$remote" HEAD:refs/heads/streamlit
cat <<END
Published. The first time, open

  https://share.streamlit.io/deploy?repository=$repository&branch=streamlit&mainModule=app.py

and put this into Advanced settings, Secrets, with Python 3.11 or newer:

  CARROT_MODE = "public"
END
