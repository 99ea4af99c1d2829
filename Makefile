# Two commands do all set-up: `make mini` runs the main job offline, `make test` the tests.
# OUT, SEED and SETTINGS (of the recipe) are for mini, compare and endings: make mini SEED=1 OUT=build/one SETTINGS=train.precision=fp32
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= build/mini
SEED ?= 0
STAMP := $(VENV)/.installed
LOG := $(VENV)/install.log
PRETRAIN ?= build/mini-pretrain$(if $(QUICK),-quick)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt

.PHONY: mini test test-slow gpu lint compare endings listen mini-pretrain clean

# What pip says goes to the log; the terminal shows how far it is, and the whole log when it fails.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "lpo-tts needs Python 3.11 or newer, found $$($(PYTHON) --version 2>&1) as $(PYTHON);" \
			"name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up $(VENV) with some 120 packages, minutes the first time (log: $(LOG))"
	@rm -f $@; $(PYTHON) -m venv $(VENV)
	@{ $(PIP) --upgrade pip && $(PIP) -e ".[mini,demo,lora,dev]" && $(BIN)/python -m lpo_tts.hf && touch $@; } 2>&1 | tee $(LOG) | { \
		n=0; while read -r line; do case "$$line" in \
			"Collecting "*) n=$$((n + 1)); if [ $$((n % 25)) = 0 ]; then echo "  $$n packages found"; fi;; \
			"Installing collected packages: "*,*) echo "  installing them";; \
		esac; done; }
	@test -e $@ || { cat $(LOG) >&2; echo "setting up $(VENV) failed: what pip said stands above" >&2; exit 1; }

mini: $(STAMP)  ## corpus, then prompts -> ... -> report, in minutes on two cores
	$(BIN)/python -m recipes.mini.corpus --out $(OUT)/corpus --train 1000 --dev 100 --test 180 --seed $(SEED)
	$(BIN)/lpo-tts run recipes/mini/mini.yaml out=$(OUT) seed=$(SEED) prompts.manifest=$(OUT)/corpus/manifest.jsonl $(SETTINGS)

compare: $(STAMP)  ## LPO beside DPO, IPO, SFT and LPO on ground truth, same candidates and budget
	$(BIN)/python -m recipes.mini.corpus --out $(OUT)/corpus --train 1000 --dev 100 --test 180 --seed $(SEED)
	$(BIN)/lpo-tts run recipes/mini/compare.yaml out=$(OUT) seed=$(SEED) prompts.manifest=$(OUT)/corpus/manifest.jsonl $(SETTINGS)

endings: $(STAMP)  ## ending pairs on a model that runs on, which is made first
	$(BIN)/python -m recipes.mini.corpus --out $(OUT)/corpus --train 1000 --dev 100 --test 180 --seed $(SEED)
	$(BIN)/python -m recipes.mini.pretrain.runaway --out build/mini-runaway
	$(BIN)/lpo-tts run recipes/mini/endings.yaml seed=$(SEED) prompts.manifest=$(OUT)/corpus/manifest.jsonl $(SETTINGS)

listen: $(STAMP)  ## the listening demo on a run; more options of it in LISTEN: make listen LISTEN="--port 8000"
	$(BIN)/python -m demo.app --run $(OUT) $(LISTEN)

test: $(STAMP)  ## the tests but for the slow ones
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

gpu: $(STAMP)  ## what needs a CUDA device: its tests, training beside TRL, sampling, and the mini recipe on it
	$(BIN)/python -m benchmarks.gpu $(if $(QUICK),--quick)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Trains every checkpoint of the mini world from scratch: hours, or with QUICK=1 minutes and to no use but as a test.
mini-pretrain: $(STAMP)
	$(BIN)/python -m recipes.mini.pretrain.codec --out $(PRETRAIN) $(if $(QUICK),--quick)
	$(BIN)/python -m recipes.mini.pretrain.recognisers --out $(PRETRAIN) $(if $(QUICK),--quick)
	$(BIN)/python -m recipes.mini.pretrain.speakers --out $(PRETRAIN) $(if $(QUICK),--quick)
	$(BIN)/python -m recipes.mini.pretrain.base --out $(PRETRAIN) $(if $(QUICK),--quick)
	$(BIN)/python -m recipes.mini.pretrain.floors --out $(PRETRAIN) $(if $(QUICK),--quick)

clean:
	rm -rf build
