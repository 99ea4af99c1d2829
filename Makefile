# Two commands do all set-up: `make mini` runs the main job offline, `make test` the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= build/mini
SEED ?= 0
STAMP := $(VENV)/.installed

.PHONY: mini test test-slow lint compare listen mini-pretrain clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mini,demo,lora,dev]"
	touch $@

mini: $(STAMP)  ## corpus, then prompts -> ... -> report, in minutes on two cores
	$(BIN)/python recipes/mini/corpus.py --out $(OUT)/corpus --train 1000 --dev 100 --test 180 --seed $(SEED)
	$(BIN)/lpo-tts run recipes/mini/mini.yaml out=$(OUT) seed=$(SEED) prompts.manifest=$(OUT)/corpus/manifest.jsonl

compare: $(STAMP)  ## LPO beside DPO, IPO, SFT and LPO on ground truth, same candidates and budget
	$(BIN)/python recipes/mini/corpus.py --out $(OUT)/corpus --train 1000 --dev 100 --test 180 --seed $(SEED)
	$(BIN)/lpo-tts run recipes/mini/compare.yaml out=$(OUT) seed=$(SEED) prompts.manifest=$(OUT)/corpus/manifest.jsonl

listen: $(STAMP)  ## the listening demo on the run's two voices
	$(BIN)/python demo/app.py --run $(OUT)

test: $(STAMP)  ## the tests but for the slow ones
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

mini-pretrain: $(STAMP)  ## trains every checkpoint of the mini world from scratch (hours)
	$(BIN)/python recipes/mini/pretrain/codec.py
	$(BIN)/python recipes/mini/pretrain/recognisers.py
	$(BIN)/python recipes/mini/pretrain/speakers.py
	$(BIN)/python recipes/mini/pretrain/base.py
	$(BIN)/python recipes/mini/pretrain/floors.py

clean:
	rm -rf build
