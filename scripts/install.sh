# What scripts/setup and scripts/triton share: to install a lock into a virtual environment, and to say what went wrong.
# pip runs as its user has set it up: indexes, proxies and certificates are theirs, and none are named here.

trap 'exit 130' INT # Ctrl-C is no failure to explain

fail() {
    printf 'snowshed: %s\n' "$*" >&2
    exit 1
}

install_lock() { # environment, lock
    local log=$1/pip.log
    echo "Installing $2 into $1 (the first time takes about a minute)"
    if ! "$1/bin/python" -m pip --disable-pip-version-check --no-input install --progress-bar off \
        --require-hashes --requirement "$2" 2>&1 | tee "$log" | progress; then
        grep -v '^WARNING: Location' "$log" | tail -n 15 >&2
        fail "pip could not install $2: its own words are above, all of them in $log."
    fi
}

progress() { # one line for each thing that takes a while
    awk '/^ *Downloading /          { print "  " $2, $3, $4; fflush() }
         /^Installing collected /   { print "  unpacking", NF - 3, "packages"; fflush() }'
}
