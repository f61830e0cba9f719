"""What the tests of the whole repository share."""

pytest_plugins = ["pytester"]
