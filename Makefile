# make app | demo | test | lint | bench. Each sets up what it needs; a second run starts at once.
FITS    := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON  := $(shell for python in python3 python3.11 python3.12 python; do \
             $$python -c "$(FITS)" 2>/dev/null && { echo $$python; break; }; done)
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
DEV     := $(VENV)/.ready-dev
TORCH   := torch==2.13.0
OPENCV  := opencv-contrib-python-headless>=4.10,<4.12
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export PYTHONUNBUFFERED := 1

.PHONY: app demo test test-slow lint format bench clean
.DEFAULT_GOAL := app

app: $(READY)
	$(BIN)/python app.py

demo: $(READY)
	$(BIN)/python -m emo2 animate --portrait assets/amara.jpg --audio assets/welcome.flac \
	  --style talk-lively --out outputs/demo.mp4

test: $(DEV)
	$(BIN)/python -m pytest

test-slow: $(DEV)
	$(BIN)/python -m pytest -m slow

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV)
	$(BIN)/python -m benchmarks.media
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.preview
	$(BIN)/python -m benchmarks.motion
	$(BIN)/python -m benchmarks.stage2
	$(BIN)/python -m benchmarks.draft --portrait assets/amara.jpg --audio assets/welcome.flac

clean:
	rm -rf $(VENV) outputs

# torch first: uv can take the CPU build where there is no NVIDIA GPU; where it cannot, pip takes the
# platform's own. opencv's usual wheel needs libGL: where that is missing, the headless one replaces it.
$(READY): requirements.txt Makefile
	@$(or $(PYTHON),false) -c "$(FITS)" || { \
	  echo "emo2 needs Python 3.11 or 3.12. Install one, or run: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "the venv module is missing: install python3-venv (apt-get install python3-venv), then run make again"; rm -rf $(VENV); exit 1; }
	@sh .ci/system-libraries
	@echo "Installing packages into $(VENV) (a few minutes, once) ..."
	@$(PIP) --upgrade pip uv
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu $(TORCH) 2>/dev/null || $(PIP) $(TORCH); \
	else $(PIP) $(TORCH); fi
	@$(PIP) -r requirements.txt
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(PIP) --force-reinstall --no-deps "$(OPENCV)"
	@touch $@

$(DEV): $(READY) requirements-dev.txt
	@$(PIP) -r requirements-dev.txt
	@touch $@
