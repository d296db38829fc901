# Two commands: `make demo` and `make test`. Either sets up .venv first.
.PHONY: demo test install lint doctor clean
bin := .venv/bin

demo: install
	@$(bin)/headway demo

test: lint
	@$(bin)/pytest

lint: install
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/pyright

doctor: install
	@$(bin)/headway doctor

install:
	@./install.sh

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
