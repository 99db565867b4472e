#!/usr/bin/env bash
# Makes sure of what souk needs to be built and tested. As root on Debian it installs what is missing; elsewhere it says what to install.
set -euo pipefail

install() { # package…
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing $*" >&2
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
	else
		echo "souk needs $*: run 'sudo apt-get install $*'" >&2
		exit 1
	fi
}

for need in "$@"; do
	case $need in
	go)
		if ! command -v go >/dev/null; then
			echo "souk needs Go 1.26 or newer: install it from https://go.dev/dl" >&2
			exit 1
		fi
		;;
	postgres)
		if [ -z "${PG_BIN_DIR:-}" ] && ! command -v postgres >/dev/null && ! ls -d /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
			install postgresql
		fi
		;;
	redis) # for the tests of what gateways share; without it they are skipped, and say so
		if ! command -v redis-server >/dev/null; then
			(install redis-server) || echo "tests with Redis will be skipped" >&2
		fi
		;;
	node)
		command -v node >/dev/null && command -v npm >/dev/null || install nodejs npm
		;;
	esac
done
