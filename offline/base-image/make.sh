#!/bin/sh
# Makes a stand-in for a Debian base image where no container registry can be reached.
#
#   make.sh TAG        e.g. make.sh debian:bookworm-slim
#
# debootstrap makes the root file system, this machine's extra certificate authorities and Debian mirror are
# carried into it, and `docker import` gives it the TAG, labelled gpubox.stand-in=true. Run as root on Debian
# or Ubuntu. DOCKER_HOST chooses the daemon, GPUBOX_CACHE the folder that keeps the root file system.
set -eu

say() { printf 'base-image: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

[ $# -eq 1 ] || die "usage: make.sh TAG, for example: make.sh debian:bookworm-slim"
tag=$1

case $tag in
debian:* | */debian:*)
  suite=${tag##*:}
  suite=${suite%-slim}
  ;;
*) die "$tag: only Debian images can be made here (debian:<codename>[-slim]); pull $tag or choose another BASE" ;;
esac
case $suite in
'' | *[!a-z]*) die "$tag: '$suite' is not a Debian codename; write it like debian:bookworm-slim" ;;
esac

[ -e /etc/debian_version ] || die "making $tag needs Debian or Ubuntu; elsewhere, pull it: docker pull $tag"
[ "$(id -u)" -eq 0 ] || die "making $tag needs root; run: sudo $0 $tag"
command -v debootstrap >/dev/null || die "debootstrap is missing; run: apt-get install debootstrap"
command -v docker >/dev/null || die "docker is missing; run: apt-get install docker.io"
[ -e "/usr/share/debootstrap/scripts/$suite" ] ||
  die "debootstrap does not know Debian '$suite'; see /usr/share/debootstrap/scripts, or run: apt-get install --only-upgrade debootstrap"
docker version >/dev/null 2>&1 ||
  die "no Docker daemon answers at ${DOCKER_HOST:-the default socket}; start it (systemctl start docker) or set DOCKER_HOST"

arch=$(dpkg --print-architecture)
cache=${GPUBOX_CACHE:-$HOME/.cache/gpubox}
mkdir -p "$cache"

# One at a time: a second run waits, then finds what the first one made. Debootstrap holds the lock too, so that what
# a killed run left running is waited for as well.
exec 9>"$cache/base-image.lock"
flock -n 9 || {
  say "another run is at work (it holds $cache/base-image.lock); waiting for it"
  flock 9
}
work=$cache/base-image.work
# Left by a run that was killed; its mounts died with its mount namespace.
rm -rf --one-file-system "$work"
mkdir "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- what the image depends on besides its suite ----------------------------------------------------------------

# The machine's own certificate authorities: what its bundle and its local folder hold and the package
# ca-certificates does not. A company's proxy or mirror is trusted through these. One file each, as
# update-ca-certificates wants them, named by what they hold.
extra=$work/extra
mkdir "$extra"
{
  find /usr/share/ca-certificates -name '*.crt' -exec cat {} + 2>/dev/null || :
  echo "the machine's own"
  cat /etc/ssl/certs/ca-certificates.crt 2>/dev/null || :
  find /usr/local/share/ca-certificates -name '*.crt' -exec cat {} + 2>/dev/null || :
} | awk -v folder="$extra" '
  { sub(/\r$/, "") }
  /^the machine/ { own = 1 }
  /^-----BEGIN CERTIFICATE-----$/ { inside = 1; text = "" }
  inside { text = text $0 "\n" }
  /^-----END CERTIFICATE-----$/ {
    inside = 0
    if (!(text in seen) && own) {
      file = folder "/" ++n ".pem"
      printf "%s", text > file
      close(file)
    }
    seen[text] = 1
  }'
for file in "$extra"/*.pem; do
  [ -e "$file" ] || continue
  sum=$(sha256sum "$file")
  mv "$file" "$extra/host-$(printf '%.16s' "$sum").crt"
done

# The mirrors this machine has for SUITE; where it has none, debootstrap's own default and the security updates beside
# it. A mirror with a password in its address is passed over: the address would stay readable in the image.
mirror_of() { # RELEASE
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v release="$1" '$2 == release && $3 == "main" && $1 ~ /^https?:/ && $1 !~ /@/ { print $1; exit }'
}
mirror=$(mirror_of "$suite")
security=$(mirror_of "$suite-security")

inputs=$(
  {
    cat "$0"
    echo "$mirror $security"
    find "$extra" -name '*.crt' -printf '%f\n' | LC_ALL=C sort
  } | sha256sum | cut -c1-12
)
tar=$cache/base-image-$suite-$arch-$inputs.tar

# --- already there? ---------------------------------------------------------------------------------------------

if labels=$(docker image inspect --format \
  '{{index .Config.Labels "gpubox.stand-in"}} {{index .Config.Labels "gpubox.stand-in.inputs"}}' "$tag" 2>/dev/null); then
  case $labels in
  "true $inputs")
    say "$tag is there already (stand-in)"
    exit 0
    ;;
  true\ *) ;;
  *) die "$tag exists and is not a stand-in: use it as it is, or remove it first: docker rmi $tag" ;;
  esac
fi

# --- root file system -------------------------------------------------------------------------------------------

build() {
  root=$work/root
  say "debootstrap of $suite ($arch) from ${mirror:-its default mirror}; takes about half a minute"
  # The mount namespace keeps /proc and /sys, which debootstrap mounts, from outliving a killed run.
  unshare --mount debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${mirror:+"$mirror"} \
    >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    die "debootstrap of $suite from ${mirror:-its default mirror} failed (its last lines are above); is it reachable?"
  }

  # Nothing here is read in a container; packages installed later leave it out as well.
  cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'EOF'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
EOF
  # No service starts because its package was installed.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"

  # In this folder, update-ca-certificates keeps them through upgrades of the package.
  for certificate in "$extra"/*.crt; do
    [ ! -e "$certificate" ] || install -m 644 "$certificate" "$root/usr/local/share/ca-certificates/"
  done
  chroot "$root" update-ca-certificates >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    die "the certificate authorities could not be installed"
  }

  # debootstrap leaves one line: deb MIRROR SUITE main.
  [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")
  mirror=${mirror%/}
  cat >"$root/etc/apt/sources.list" <<EOF
deb $mirror $suite main
deb $mirror $suite-updates main
deb ${security:-${mirror%/*}/debian-security} $suite-security main
EOF
  {
    chroot "$root" apt-get -q update && DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qy dist-upgrade
  } >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    die "the security updates of $suite could not be installed (the last lines are above)"
  }

  chroot "$root" apt-get clean
  find "$root/usr/share/doc" ! -type d ! -name copyright -delete
  find "$root/usr/share/doc" -type d -empty -delete
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/debconf/*-old \
    "$root"/var/cache/ldconfig/aux-cache "$root"/usr/share/locale/* "$root"/usr/share/man/* \
    "$root"/usr/share/info/* "$root"/usr/share/groff "$root"/var/log/*.log "$root"/var/log/apt/*
  # The host's own; Docker gives each container its own.
  rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

  tar --create --numeric-owner --one-file-system --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' \
    --directory "$root" --file "$work/image.tar" .
  rm -f "$cache/base-image-$suite-$arch-"*.tar
  mv "$work/image.tar" "$tar"
}

if [ -e "$tar" ]; then
  say "root file system from $tar"
else
  build
fi

# --- image ------------------------------------------------------------------------------------------------------

id=$(docker import \
  --change 'CMD ["bash"]' \
  --change 'LABEL gpubox.stand-in=true' \
  --change "LABEL gpubox.stand-in.inputs=$inputs" \
  --message "stand-in for $tag, made by debootstrap" "$tar" "$tag") ||
  die "docker import of $tar failed (its message is above)"
say "$tag is $id (stand-in, $(find "$extra" -name '*.crt' | wc -l) extra certificate authorities)"
