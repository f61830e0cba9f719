"""The pytest plugin, by concern. Inert in a session that selects no build."""

pytest_plugins = (
    "harness.plugin.rootdir",
    "harness.plugin.options",
    "harness.plugin.variables",
    "harness.plugin.tree",
    "harness.plugin.checks",
    "harness.plugin.collection",
    "harness.plugin.selection",
    "harness.plugin.attaching",
    "harness.plugin.distribution",
    "harness.plugin.loop",
)
