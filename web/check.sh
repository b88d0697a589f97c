#!/usr/bin/env bash
# Everything that must hold for the page: types, tests, and that web/dist is what the sources build.
# usage: web/check.sh     CHROMIUM names the browser (default /usr/bin/chromium), TOUCHSTONE the binary that a few tests run against
set -euo pipefail
cd "$(dirname "$0")"

gzipped_bytes_max=500000

npm ci --no-audit --no-fund
npm rebuild  # Debian's npm does not link the programs of optional packages at once, and Node.js is one
npm run types
npm run build

if [ -n "$(git status --porcelain -- dist)" ]; then
  echo "web/dist is not what the sources build; commit the build:" >&2
  git status --short -- dist >&2
  exit 1
fi

gzipped_bytes=0
while IFS= read -r file; do
  gzipped_bytes=$((gzipped_bytes + $(gzip -9 -c "$file" | wc -c)))
done < <(find dist -type f)
echo "web/dist: $gzipped_bytes bytes gzipped"
if [ "$gzipped_bytes" -ge "$gzipped_bytes_max" ]; then
  echo "web/dist must stay below $gzipped_bytes_max bytes" >&2
  exit 1
fi

npm test
npm run test:browser
