# The two commands of the README, over Meson. `make help` lists the rest.
.PHONY: help run check build clean

build: build/build.ninja
	ninja -C build

build/build.ninja:
	meson setup build

check: build
	meson test -C build --print-errorlogs
