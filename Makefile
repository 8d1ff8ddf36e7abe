# The commands of Campaign. `make demo` and `make test` need python3 (3.11 or newer), its venv module and make;
# they install everything else into folders of this one, from locks with hashes.

PYTHON ?= python3
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
DEV := .venv-dev/bin

.PHONY: help demo test lint types messages lock bench race faults machine fuzz
.DEFAULT_GOAL := help

help:  ## list these commands
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1\t/p' Makefile | expand -t 20

demo: .venv/stamp  ## run everything on this machine, with made-up people; ARGS="--help" tells more
	@exec .venv/bin/python manage.py demo $(ARGS)

test: .venv-dev/stamp $(if $(CHROMIUM),.venv-dev/browser-stamp)  ## run the tests on SQLite, and on PostgreSQL and Valkey (from wheels); ARGS goes to pytest
	@$(if $(CHROMIUM),:,echo "No Chromium on this system: the browser tests are skipped.")
	@$(DEV)/python -m tests.both_engines $(ARGS)

lint: .venv-dev/stamp  ## check style, likely mistakes, and which part may import which
	@$(DEV)/ruff check
	@$(DEV)/ruff format --check
	@$(DEV)/lint-imports --no-logo

types: .venv-dev/stamp  ## check the types
	@$(DEV)/mypy

bench: .venv-dev/stamp  ## measure, on servers of its own; ARGS="analysis --scale 5 --json" tells what and how
	@$(DEV)/python manage.py bench $(or $(ARGS),analysis)

race: .venv-dev/stamp  ## people opt out while their message is about to leave: who came first? ARGS="--help" tells more
	@$(DEV)/python -m tests.faults.race $(ARGS)

faults: .venv-dev/stamp  ## break everything on purpose while messages leave: is any lost or doubled? ARGS="--help" tells more
	@$(DEV)/python -m tests.faults.run $(ARGS)

machine: .venv-dev/stamp  ## drive sending by drawn acts in the background; ARGS="--steps 1000000" says how long
	@$(DEV)/python -m tests.machine $(ARGS)

fuzz: .venv-dev/stamp  ## spoil messages that come back, and see that each is read; ARGS="--number 1000000" says how many
	@$(DEV)/python -m tests.fuzz $(ARGS)

messages: .venv-dev/stamp  ## gather the texts to translate into locale/ and compile them
	@$(DEV)/python manage.py messages

# Pins stay where they are unless asked: make lock ARGS=--upgrade
lock: .venv-dev/stamp  ## compile requirements/*.txt from pyproject.toml
	@$(call compile,run,pyproject.toml)
	@$(call compile,dev,pyproject.toml --group dev)
	@$(call compile,captcha,--group captcha --constraint requirements/dev.txt)
	@$(call compile,dkim,--group dkim --constraint requirements/dev.txt)
	@$(call compile,esp,--group esp --constraint requirements/dev.txt)
	@$(call compile,browser,--group browser --constraint requirements/dev.txt)

# No index address and no local path in a lock, so that it serves everybody.
compile = $(DEV)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links $(ARGS) $(2) --output-file requirements/$(1).txt

# A stamp is newer than the lock its folder was made from. A changed lock makes the folder anew, so that
# nothing stays that the lock does not name.
.venv/stamp: requirements/run.txt
	@$(call environment,.venv,Installing Campaign's packages into .venv (once$(comma) about a minute))
	@touch $@

.venv-dev/stamp: requirements/dev.txt
	@$(call environment,.venv-dev,Installing the packages of the tests into .venv-dev (once$(comma) a minute or two))
	@touch $@

.venv-dev/browser-stamp: requirements/browser.txt .venv-dev/stamp
	@echo "Installing Playwright into .venv-dev, to drive $(CHROMIUM) (once) ..."
	@$(DEV)/$(install) $<
	@touch $@

comma := ,
install = python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r
define environment
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Campaign needs Python 3.11 or newer; $(PYTHON) is missing or older. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) lacks its venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	echo "$(2) ..."; \
	$(PYTHON) -m venv --clear $(1) && $(1)/bin/$(install) $<
endef
