#!/usr/bin/env bash
# Tests what we ship where there is no container engine: a Dockerfile's instructions, in Debian folders with chroot, the image that comes
# out of them, the Debian package in a bare system, the unit. Needs root, debootstrap and a package (make package).
# usage: deploy/test.sh [--cuda] [--full] [FOLDER]
#   --cuda   Dockerfile.cuda and its package (make package PRESET=cuda)
#   --full   also the build stage (compiles everything), whose package the image then gets instead of build/…/package; with --cuda, the
#            CUDA toolkit in $CUDA_HOME or /usr/local/cuda stands for the image that the stage copies it from
#   FOLDER   keeps Debian's base system for the next run; default: a temporary one
set -euo pipefail
# Mounts and the base system's processes end with this shell.
if [ -z "${IN_MOUNT_NAMESPACE:-}" ]; then
  IN_MOUNT_NAMESPACE=1 exec unshare --mount --propagation private bash "$0" "$@"
fi
repository=$(cd "$(dirname "$0")/.." && pwd)
full=no preset=release dockerfile=Dockerfile
if [ "${1:-}" = --cuda ]; then preset=cuda dockerfile=Dockerfile.cuda && shift; fi
if [ "${1:-}" = --full ]; then full=yes && shift; fi
keep=yes
if [ $# = 0 ]; then keep=no && set -- "$(mktemp -d)"; fi
work=$1
mkdir -p "$work"
max_image_mb=150
package_folder=$repository/build/$preset/package
if [ $full = yes ]; then package_folder=$work/build/src/build/$preset/package; fi

helpers=()  # processes that have to end with us
cleanup() {
  local helper
  for helper in "${helpers[@]}"; do kill "$helper" 2>/dev/null || true; done
  umount --recursive --quiet --lazy "$work"/*/dev "$work"/*/proc "$work"/image 2>/dev/null || true
  if [ $keep = no ]; then rm -rf --one-file-system "$work"; fi
}
trap cleanup EXIT

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }
fail() { echo "FAILED: $1" >&2; exit 1; }
json_words() { python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\0", end="\0")' "$1"; }

# ---- Debian folders ----

make_base() {
  [ -e "$work/base.done" ] && return
  rm -rf "$work/base"
  debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; fail debootstrap; }
  cp /etc/apt/sources.list.d/debian.sources "$work/base/etc/apt/sources.list.d/" 2>/dev/null && rm -f "$work/base/etc/apt/sources.list"
  rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/*
  touch "$work/base.done"
}

# new_system NAME: a copy of the base system in $work/NAME, with /dev, /proc and our name servers.
new_system() {
  local root=$work/$1
  umount --recursive --quiet "$root/dev" "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
  cp -a "$work/base" "$root"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
}

# Leaves out what debian:bookworm-slim leaves out.
make_slim() {
  local root=$1
  printf 'path-exclude /usr/share/%s/*\n' doc groff info lintian linda locale man >"$root/etc/dpkg/dpkg.cfg.d/slim"
  echo 'path-include /usr/share/doc/*/copyright' >>"$root/etc/dpkg/dpkg.cfg.d/slim"
  rm -rf "$root"/usr/share/{groff,info,lintian,linda,locale,man}/*
  find "$root/usr/share/doc" -type f ! -name copyright -delete
}

count_bytes() { du --summarize --one-file-system --block-size=1 "$1" | cut -f1; }
list_files() { (cd "$1" && find . -xdev -path ./dev -prune -o ! -type d -print | sed 's/^\.//' | sort); }

# ---- the Dockerfile ----

# copy_context WHAT… TO: as the builder does, without what Dockerfile.dockerignore leaves out.
copy_context() {
  local root=$1 to=$2 what=$3 path
  mkdir -p "$root$to"
  while read -r path; do
    [[ $what == . || $what == "$path"* ]] || continue
    [ "$what" = . ] || path=$what
    (cd "$repository" && git ls-files -z --cached --others --exclude-standard "$path" | tar --null -cf - -T -) |
      if [ "$what" = . ]; then tar -xf - -C "$root$to"; else tar -xf - -C "$root$to" --transform 's|.*/||'; fi
  done < <(sed -n 's/^!//p' "$repository/deploy/Dockerfile.dockerignore")
}

# copy_toolkit TO: this machine's CUDA toolkit, in place of an image's.
copy_toolkit() {
  local from=${CUDA_HOME:-/usr/local/cuda}
  [ -x "$from/bin/nvcc" ] || fail "there is no CUDA toolkit in $from: set CUDA_HOME"
  mkdir -p "$root$1"
  cp -a "$from/." "$root$1"
}

# run_in_stage COMMAND: a RUN line's command. The folder that it mounts from the build stage becomes a copy for its time.
run_in_stage() {
  local command=$1 mounted=""
  if [[ $command =~ ^--mount=type=bind,from=build,source=/src/build/$preset/package,target=([^ ]+)\ +(.*)$ ]]; then
    mounted=${BASH_REMATCH[1]} command=${BASH_REMATCH[2]}
    cp -r "$package_folder" "$root$mounted"
  fi
  echo "RUN $command"
  in_stage sh -c "cd ${directory:-/} && $command" >"$work/run.log" 2>&1 || { tail -n 30 "$work/run.log"; fail "RUN $command"; }
  [ -z "$mounted" ] || rm -r "${root:?}$mounted"
}

in_stage() { chroot ${user:+--userspec="$user"} "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${variables[@]}" "$@"; }

# follow_dockerfile: carries out its instructions; leaves the final stage's root, user, variables, entrypoint, command and health.
follow_dockerfile() {
  local instruction rest skip=no
  while read -r -u 9 instruction rest; do
    if [ "$instruction" = FROM ]; then
      user="" directory="" variables=() root=$work/image skip=no
      if [[ $rest == nvidia/cuda:*" AS cuda" ]]; then skip=yes && continue; fi
      [[ $rest == debian:bookworm-slim* ]] || fail "an unknown base image: $rest"
      if [[ $rest == *" AS build" ]]; then root=$work/build skip=$([ "$full" = yes ] && echo no || echo yes); fi
      if [ $skip = no ]; then new_system "${root##*/}" && make_slim "$root" && list_files "$root" >"$work/${root##*/}.base_files" && count_bytes "$root" >"$work/base_bytes"; fi
    fi
    [ $skip = no ] || continue
    case $instruction in
      FROM | EXPOSE | VOLUME) ;;
      WORKDIR) directory=$rest && mkdir -p "$root$rest" ;;
      COPY)
        if [[ $rest == "--from=cuda "* ]]; then copy_toolkit "${rest##* }" && continue; fi
        copy_context "$root" "$directory/$([[ $rest == *" ." ]] || echo "${rest##* }")" "${rest%% *}"
        ;;
      RUN) run_in_stage "$rest" ;;
      USER) user=$rest ;;
      ENV) read -r -a variables <<<"$rest" ;;
      HEALTHCHECK) mapfile -d '' -t health < <(json_words "${rest#*CMD }") ;;
      ENTRYPOINT) mapfile -d '' -t entrypoint < <(json_words "$rest") ;;
      CMD) mapfile -d '' -t command < <(json_words "$rest") ;;
      *) fail "an instruction that this test does not know: $instruction" ;;
    esac
  done 9< <(sed -e '/^#/d' -e ':join; /\\$/ {N; s/\\\n *//; b join}' -e '/^$/d' "$repository/deploy/$dockerfile")
  [ "$root" = "$work/image" ] || fail "the final stage has a name"
}

check_image_files() {
  local bytes foreign
  umount --recursive "$root/dev" "$root/proc"
  bytes=$(count_bytes "$root")
  echo "content: $((bytes / 1000000)) MB, of these $(($(cat "$work/base_bytes") / 1000000)) MB Debian's base"
  [ "$bytes" -lt $((max_image_mb * 1000000)) ] || fail "the image has $bytes bytes"

  echo "packages added: $(comm -13 <(installed "$work/base") <(installed "$root") | tr '\n' ' ')"
  # What was added belongs to a package, or is the package manager's or the user's own.
  foreign=$(comm -13 "$work/image.base_files" <(list_files "$root") |
    grep -v -x -F -f <(cat "$root"/var/lib/dpkg/info/*.list | sed 's|^/\(lib\|bin\|sbin\)/|/usr/\1/|'; cat "$root"/var/lib/dpkg/info/*.list) |
    grep -v -E '^/(var/lib/(dpkg|systemd|apt)/|etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)|var/cache/ldconfig/|cache/)' || true)
  [ -z "$foreign" ] || fail "files of no package: $foreign"
  for program in g++ cmake curl python3 perl5.36-x86_64-linux-gnu; do
    if [ -e "$root/usr/bin/$program" ]; then fail "$program is in the image"; fi
  done
  [ "$(find "$root" -xdev -user 7860 | sed "s|^$root||" | sort | tr '\n' ' ')" = "/cache /cache/huggingface /cache/touchstone " ] || fail "the user owns more than /cache"
}
installed() { sed -n 's/^Package: //p' "$1/var/lib/dpkg/status" | sort; }

# The image's server in a network of its own, on a root that cannot be written, as compose.yaml has it. There is no GPU here: without one,
# the server for GPUs has to say so, and its program runs models on the CPU.
check_image_runs() {
  local server status
  mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev"
  mount -t tmpfs -o "uid=7860,gid=7860" tmpfs "$root/cache/touchstone" && mount -o remount,bind,ro "$root"
  unshare --net sleep infinity & helpers+=($!)
  local network=/proc/$!/ns/net
  until [ "$(readlink "$network")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
  nsenter --net="$network" ip link set lo up

  # `env` and `chroot` replace themselves, so that the server has the number that we know.
  in_network() { exec nsenter --net="$network" chroot --userspec="$user" "$root" env -i PATH=/usr/bin:/bin "${variables[@]}" "$@"; }
  if (in_network "${health[@]}") 2>/dev/null; then fail "HEALTHCHECK is content without a server"; fi
  if [ $preset = cuda ]; then
    status=0 && (in_network "${entrypoint[@]}" demo:native) 2>"$work/server.log" || status=$?
    cat "$work/server.log"
    { [ "$status" = 1 ] && grep -q "error: device cuda is not available" "$work/server.log"; } || fail "without a GPU, the server ends with status $status"
    entrypoint=("${entrypoint[@]/#cuda/cpu}")
  fi
  echo "ENTRYPOINT ${entrypoint[*]} demo:native"
  in_network "${entrypoint[@]}" demo:native 2>"$work/server.log" & server=$!
  helpers+=("$server")
  for _ in $(seq 300); do
    if grep -q "serving demo:native" "$work/server.log" || ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.2
  done
  cat "$work/server.log"
  grep -q "anybody who reaches 0.0.0.0" "$work/server.log" || fail "no warning about the missing key"
  [ "$(awk '/^Uid:/ {print $2}' "/proc/$server/status")" = 7860 ] || fail "the server is not touchstone's"
  (in_network "${health[@]}") || fail "HEALTHCHECK finds no server"
  kill -TERM "$server"
  status=0 && wait "$server" || status=$?
  [ "$status" = 0 ] || fail "SIGTERM ended the server with status $status"
  echo "healthy as uid 7860 on a read-only root; SIGTERM ends it with status 0"
  umount --recursive "$root"
}

# ---- the package ----

check_package() {
  local root=$work/bare user="" variables=(DEBIAN_FRONTEND=noninteractive HOME=/root)
  new_system bare
  in_stage apt-get update -qq
  find_system_files() { list_files "$root" | grep -v -E '^/(var/(lib/(dpkg|apt)|cache|log)/|etc/ld.so.cache$)'; }
  find_system_files >"$work/before"
  cp "$package_folder"/*.deb "$root/package.deb"
  in_stage apt-get install -qq -y --no-install-recommends /package.deb >"$work/install.log" 2>&1 || { cat "$work/install.log"; fail install; }
  rm "$root/package.deb"
  check_guides "$root/usr/share/doc/touchstone"
  dpkg-deb --field "$package_folder"/*.deb Package Version Depends Installed-Size
  in_stage touchstone --version
  in_stage sh -c "cd /tmp && touchstone compare demo:distilled demo:native --suite demo-math,demo-logic --no-perf --limit 3 --out compared && rm -rf compared ~/.cache" | head -n 8
  check_unit
  in_stage apt-get remove -qq -y --autoremove touchstone >"$work/remove.log" 2>&1 || { cat "$work/remove.log"; fail remove; }
  [ -e "$root/etc/default/touchstone" ] || fail "remove took the configuration"
  in_stage apt-get purge -qq -y touchstone >"$work/remove.log" 2>&1 || { cat "$work/remove.log"; fail purge; }
  diff "$work/before" <(find_system_files) || fail "uninstalling leaves traces"
  echo "installed, ran, uninstalled without a trace"
}

# check_guides FOLDER: each page that the server's guides send to is beside them.
check_guides() {
  local page
  for page in $(grep -h -o '([a-z-]*\.md' "$1/serve.md" "$1/deploy.md" | tr -d '(' | sort -u); do
    [ -e "$1/$page" ] || fail "the package's guides send to $page, which it lacks"
  done
}

check_unit() {
  command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here: the unit was not checked"; return; }
  local unit=$root/usr/lib/systemd/system/touchstone.service drain stop
  systemd-analyze verify --man=no --recursive-errors=no --root="$root" touchstone.service
  systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" | tail -n 1
  drain=$(in_stage touchstone serve --help | sed -n 's/.*--drain-seconds.*=\([0-9]*\)$/\1/p')
  stop=$(sed -n 's/^TimeoutStopSec=//p' "$unit")
  [ "$stop" -gt "$drain" ] || fail "systemd kills the server after $stop s, and it drains for $drain s"
}

[ "$(id -u)" = 0 ] || fail "this needs root, for chroot"
[ $full = yes ] || compgen -G "$package_folder/*.deb" >/dev/null || fail "there is no package: make package PRESET=$preset"
step "Debian's base system"
make_base
step "Dockerfile"
follow_dockerfile
step "the image's files"
check_image_files
step "the image's server"
check_image_runs
step "the package in a bare system"
check_package
step "done"
