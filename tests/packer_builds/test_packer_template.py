"""Packer's templates as builds, on a source that boots nothing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.project import Project

TEMPLATE: dict[str, Any] = {
    "description": "A web server.",
    "variables": {
        "region": "north",
        "who": None,
        "token": "",
        "both": "{{user `region`}}-{{user `who`}}",
    },
    "sensitive-variables": ["token"],
    "builders": [
        {"type": "fake", "name": "one", "ssh_username": "me"},
        {"type": "fake"},
    ],
    "provisioners": [
        {
            "type": "shell",
            "inline": ["echo {{user `both`}}", "echo {{build_name}} as {{build `User`}}"],
            "environment_vars": ["TOKEN={{user `token`}}"],
            "max_retries": "2",
        },
        {"type": "file", "source": "page", "destination": "/srv/page", "only": ["one"]},
        {
            "type": "shell",
            "script": "run.sh",
            "execute_command": "chmod +x {{ .Path }}; {{ .Vars }} {{ .Path }}",
            "override": {"fake": {"script": "other.sh"}},
        },
    ],
    "post-processors": [
        "manifest",
        [{"type": "shell-local", "inline": ["echo {{build_name}} >>followed"], "only": ["one"]}],
    ],
}

BUILD = """
web = harness.packer_template("build.json")

def test_values(web, variables):
    assert variables.who == "me"
"""


def write(project: Project, template: object = TEMPLATE, build: str = BUILD) -> None:
    text = template if isinstance(template, str) else json.dumps(template, indent=1)
    (project.path / "build.json").write_text(text)
    for name in ("page", "run.sh", "other.sh"):
        (project.path / name).write_text(f"echo {name}\n")
    project.write(build)


def without(*keys: str, **changed: object) -> dict[str, Any]:
    return {**{k: v for k, v in TEMPLATE.items() if k not in keys}, **changed}


def log(project: Project, build: str) -> str:
    return (project.path / "reports" / build / "build.log").read_text()


def test_a_template_is_a_build(project: Project) -> None:
    write(project)
    outcomes = project.outcomes("--var", "who=me")
    assert set(outcomes.values()) == {"PASSED"}
    names = set(outcomes)
    assert names == {
        *(f"web::{stage}[{s}]" for s in ("one", "fake") for stage in ("provision", "image")),
        *(f"web::{step}[{s}]" for s in ("one", "fake") for step in ("manifest", "shell-local")),
        *(f"test_values[{s}]" for s in ("one", "fake")),
    }
    one, fake = log(project, "web.one"), log(project, "web.fake")
    assert "$ echo north-me\n$ echo one as me\n" in one
    assert "$ put page /srv/page\n" in one
    assert "PACKER_BUILD_NAME=one" in one
    assert "$ echo north-me\n$ echo fake as root\n" in fake
    assert "page" not in fake
    made = json.loads((project.path / "packer-manifest.json").read_text())
    assert {b["name"]: b["builder_type"] for b in made["builds"]} == {"one": "fake", "fake": "fake"}
    assert (project.path / "followed").read_text() == "one\n"


def test_a_builder_is_chosen_by_its_name(project: Project) -> None:
    write(project)
    outcomes = project.outcomes("--var", "who=me", "--only", "one")
    assert {id_[-5:] for id_ in outcomes} == {"[one]"}
    assert project.run("--var", "who=me", "--except", "web.one", "-n", "2").ret == 0
    assert set(project.manifest()) == {"web.fake"}


def test_variables_are_as_packers(project: Project) -> None:
    write(project)
    (project.path / "env.json").write_text('{"who": "me", "region": "south", "token": "s3cr3t-t"}')
    result = project.run("--var-file", "env.json", "--var", "region=east", "--only", "one")
    assert result.ret == 0
    assert "$ echo east-me\n" in log(project, "web.one")
    shown = [
        result.stdout.str(),
        *(p.read_text() for p in project.path.glob("reports/**/*.*") if p.is_file()),
    ]
    assert not any("s3cr3t-t" in text for text in shown)


def test_a_missing_value_is_told_before_anything_is_created(project: Project) -> None:
    write(project)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the variable 'who' has no value, and web.one, web.fake *"])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            without(
                "provisioners", "post-processors", builders=[{"type": "fake", "ssh_usrname": "me"}]
            ),
            "web.fake: build.json:*: fake has no 'ssh_usrname': did you mean 'ssh_username'?",
        ),
        (
            without("provisioners", "post-processors", builders=[{"type": "fake", "seconds": 3}]),
            "web.fake: build.json:*: a number stands where an object should be",
        ),
        (
            without(
                "post-processors", builders=[{"type": "fake"}], provisioners=[{"type": "shell"}]
            ),
            "web.fake: build.json:*: *give one of inline, script, scripts; there is none",
        ),
        (
            without(
                builders=[{"type": "fake"}],
                provisioners=[],
                **{"post-processors": [{"type": "checksum", "checksum_types": "sha257"}]},
            ),
            "web.fake: build.json:*: *checksum_types has 'sha257': choose of *",
        ),
        (
            without("post-processors", provisioners=[{"type": "shell", "script": "none.sh"}]),
            "web.fake: build.json:*: there is no file 'none.sh' (paths start at *",
        ),
        (
            without(
                "post-processors",
                provisioners=[{"type": "file", "source": "none", "destination": "/"}],
            ),
            "web.fake: build.json:*: there is no file 'none' (paths start at *",
        ),
        (
            without(
                "provisioners",
                **{"post-processors": [{"type": "shell-local", "script": "none.sh"}]},
            ),
            "web.fake: build.json:*: there is no file 'none.sh' (paths start at *",
        ),
    ],
)
def test_a_wrong_option_shows_where_it_is(
    project: Project, template: dict[str, Any], message: str
) -> None:
    write(project, template)
    result = project.run("--var", "who=me")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"builders": [', "*build.json:1:15: *"),
        ('{"builders": [], "bilders": []}', "*build.json:1:*did you mean 'builders'?*"),
    ],
)
def test_a_wrong_template_is_an_error_of_collection(
    project: Project, text: str, message: str
) -> None:
    write(project, text)
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([message])


def test_there_is_no_template(project: Project) -> None:
    project.write(BUILD)
    project.run().stdout.fnmatch_lines(["*packer_template('build.json'): *No such file*"])


LACKING: dict[str, dict[str, Any]] = {
    "builder": {"builders": [{"type": "fake"}, {"type": "hyperv-iso"}]},
    "provisioner": {
        "builders": [{"type": "fake"}, {"type": "fake", "name": "hyperv-iso"}],
        "provisioners": [{"type": "powershell", "only": ["hyperv-iso"]}],
    },
    "feature": {
        "builders": [
            {"type": "fake"},
            {"type": "qemu", "name": "hyperv-iso", "iso_url": "x.iso", "boot_command": ["<enter>"]},
        ]
    },
    "expression": {
        "builders": [{"type": "fake"}, {"type": "hyperv-iso", "vm": "{{user `none`}}"}],
    },
    "post-processor": {
        "builders": [{"type": "fake"}, {"type": "fake", "name": "hyperv-iso"}],
        "post-processors": [{"type": "vagrant", "only": ["hyperv-iso"]}],
    },
}


@pytest.mark.parametrize("kind", LACKING)
def test_what_there_is_not_fails_only_the_builds_that_need_it(project: Project, kind: str) -> None:
    write(project, without("provisioners", "post-processors", **LACKING[kind]))
    result = project.run("--var", "who=me")
    assert result.ret == 1
    told = {
        "feature": "build.json:*: qemu has no boot_command: nothing is typed*",
        "expression": "build.json:*: there is no builder of the type 'hyperv-iso' here; *",
    }.get(kind, f"build.json:*: there is no {kind} of the type '*' here; there are *")
    result.stdout.fnmatch_lines([f"warning: {told}"])
    result.stdout.fnmatch_lines(["web.hyperv-iso: boot failed", told])
    assert project.manifest()["web.fake"]["image"]
    assert not project.manifest()["web.hyperv-iso"]["image"]


def test_another_builder_may_be_left_out(project: Project) -> None:
    write(project, without("provisioners", "post-processors", **LACKING["builder"]))
    assert project.run("--var", "who=me", "--except", "hyperv-iso").ret == 0


def test_a_failure_names_the_provisioner_and_cleans_up(project: Project) -> None:
    builder = {"type": "fake", "answers": {"false": [1, "", "went wrong"]}}
    write(
        project,
        without(
            "post-processors",
            builders=[builder],
            provisioners=[{"type": "shell", "inline": ["false"]}],
            **{"error-cleanup-provisioner": {"type": "shell", "inline": ["echo tidy"]}},
        ),
    )
    result = project.run("--var", "who=me")
    result.stdout.fnmatch_lines(["web.fake: provision failed", "*went wrong*"])
    result.stdout.fnmatch_lines(["build.json:*: the provisioner shell"])
    assert "$ echo tidy\n" in log(project, "web.fake")


def test_what_is_called_otherwise_today(project: Project) -> None:
    write(project, without(**{"post-processors": [{"type": "manifest", "filename": "made.json"}]}))
    result = project.run("--var", "who=me")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: build.json:*'filename'*'output'*"])
    assert (project.path / "made.json").exists()


def test_a_changed_template_is_not_up_to_date(project: Project) -> None:
    write(project, without("provisioners"))
    options = ("--var", "who=me", "--skip-unchanged", "--only", "one")
    for template in (without("provisioners"), without("provisioners", description="Another.")):
        write(project, template)
        assert set(project.outcomes(*options).values()) == {"PASSED"}


def test_a_module_may_have_several_templates(project: Project) -> None:
    write(project, build=BUILD + "\nother = harness.packer_template('other.json', untested=True)\n")
    (project.path / "other.json").write_text('{"builders": [{"type": "fake"}]}')
    project.write(
        "import harness\n" + 'third = harness.packer_template("other.json")\n', "test_more"
    )
    assert project.run("--var", "who=me").ret == 1  # the third has no test
    assert set(project.manifest()) == {"web.one", "web.fake", "other.fake", "third.fake"}


def test_every_post_processor_has_packers_defaults(project: Project) -> None:
    said = {"type": "shell-local", "name": "image", "inline": ["echo {{build `ID`}} >id"]}
    chains = ["compress", [{"type": "checksum"}], {"type": "artifice", "files": ["page"]}, said]
    builders = [{"type": "fake"}]
    write(project, without("provisioners", builders=builders, **{"post-processors": chains}))
    outcomes = project.outcomes("--var", "who=me")
    names = ("compress", "checksum", "artifice", "post-image")
    assert {outcomes[f"web::{name}[fake]"] for name in names} == {"PASSED"}
    assert (project.path / "id").read_text().startswith("image-of-fake-")


def variables_of(project: Project, *arguments: str) -> pytest.RunResult:
    """`harness variables`."""
    command = "import harness.cli; raise SystemExit(harness.cli.main())"
    return project.pytester.run(sys.executable, "-c", command, "variables", *arguments)


RESOLVED: dict[str, Any] = {
    "variables": {
        "a": "x",
        "b": "{{user `a`}}-y",
        "c": "{{env `LEVEL`}}",
        "host": "{{.Host}}",
        "token": "s3cr3t-t",
        "url": "http://{{user `token`}}@{{user `b`}}",
        "moment": "{{timestamp}}",
        "id": "{{uuid}}",
    },
    "sensitive-variables": ["token"],
    "builders": [{"type": "fake"}],
    "provisioners": [{"type": "shell-local", "inline": ["echo id {{user `id`}} >id"]}],
    "post-processors": [{"type": "shell-local", "inline": ["echo {{user `c`}} >followed"]}],
}
READ = """
web = harness.packer_template("build.json")

def test_values(web, variables):
    assert (variables.b, variables.c, variables.host) == ("x-y", "3", "{{.Host}}")
    assert variables.url == "http://s3cr3t-t@x-y"
    assert f"id {variables.id}\\n" == pathlib.Path("id").read_text()
"""


def test_tests_read_what_variables_come_to(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVEL", "3")
    write(project, RESOLVED, READ)
    assert project.run().ret == 0
    inputs = project.manifest()["web.fake"]["inputs"]["variables"]
    assert (inputs["b"], inputs["c"], inputs["url"]) == ("x-y", "3", "http://***@x-y")
    assert inputs["moment"].isdecimal()
    listed = variables_of(project).outlines
    assert ["b", "'x-y'", "default"] in [line.split() for line in listed]
    assert ["url", "'http://***@x-y'", "default"] in [line.split() for line in listed]
    assert "s3cr3t-t" not in "\n".join(listed)


def test_what_variables_come_to_decides_whether_an_image_is_up_to_date(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = RESOLVED | {"provisioners": []}
    write(project, template, 'web = harness.packer_template("build.json", untested=True)')
    options = ("--var", "b=z", "--var", "token=another", "--skip-unchanged")
    for level, token, outcome in (("3", "token-one", "PASSED"), ("3", "token-two", "SKIPPED")):
        monkeypatch.setenv("LEVEL", level)
        outcomes = project.outcomes(*options[:2], "--var", f"token={token}", options[-1])
        assert set(outcomes.values()) == {outcome}
    monkeypatch.setenv("LEVEL", "4")
    assert set(project.outcomes(*options).values()) == {"PASSED"}
    assert (project.path / "followed").read_text() == "4\n"


@pytest.mark.parametrize("wrong", ["{{user `nothing`}}", "{{user `b`}}"])
def test_a_variable_that_cannot_be_is_told_once(project: Project, wrong: str) -> None:
    template = {"variables": {"a": "x", "b": wrong}, "builders": [{"type": "fake"}]}
    write(project, template, READ)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = [line for line in result.errlines if "build.json:" in line]
    assert len(told) == 1
    assert told[0].startswith("ERROR: web.fake: build.json:")
    listed = variables_of(project)
    assert listed.ret == 2
    assert len([line for line in listed.outlines if line.startswith("build.json:")]) == 1


UNSET: dict[str, Any] = {
    "variables": {"key": "{{env `CLOUD_KEY`}}", "login": "me:{{user `key`}}", "c": "c"},
    "builders": [{"type": "fake"}, {"type": "fake", "name": "local"}],
    "provisioners": [{"type": "shell", "inline": ["echo {{user `c`}}"]}],
    "post-processors": [
        {"type": "shell-local", "only": ["fake"], "inline": ["echo {{user `login`}} >followed"]}
    ],
}


def test_what_is_not_set_in_the_environment_is_missing_for_builds_that_use_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUD_KEY", raising=False)
    write(project, UNSET, 'web = harness.packer_template("build.json", untested=True)')
    assert project.run("--only", "local").ret == 0
    assert project.manifest()["web.local"]["inputs"]["variables"] == {"c": "c"}
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (told,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert told.startswith("ERROR: web.fake: build.json:")
    assert "the variable 'key' has no value, since CLOUD_KEY is not set in the environment" in told
    assert "set it, to nothing if that is meant, or give --var key=VALUE, --var-file FILE" in told
    listed = variables_of(project)
    assert listed.ret == 0
    assert {tuple(line.split()) for line in listed.outlines} >= {
        ("key", "missing"),
        ("login", "missing"),
    }
    assert project.run("--var", "key=k").ret == 0
    monkeypatch.setenv("CLOUD_KEY", "")  # somebody means it
    assert project.run().ret == 0
    assert (project.path / "followed").read_text() == "me:\n"


def test_a_test_that_reads_what_is_not_set_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUD_KEY", raising=False)
    write(project, UNSET, BUILD.replace("who", "login"))
    result = project.run("--only", "local")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*MissingValueError: the variable 'key' has no value, since CL*"])


NAMED = {
    "variables": {"stage": "test"},
    "builders": [
        {"type": "fake", "name": "web-{{user `stage`}}", "ssh_username": "{{build_name}}"}
    ],
    "provisioners": [
        {"type": "shell", "inline": ["echo {{build `User`}}"], "only": ["web-{{user `stage`}}"]}
    ],
}


def test_a_name_may_have_variables(project: Project) -> None:
    write(project, NAMED, "web = harness.packer_template('build.json')\ndef test_it(web): pass\n")
    assert "test_it[web-test]" in project.outcomes()
    assert project.run("--var", "stage=prod", "--only", "web-prod", "-n", "2").ret == 0
    assert "$ echo web-prod\n" in log(project, "web.web-prod")


@pytest.mark.parametrize("stage", ["a b", "é", "a/b"])
def test_a_name_that_no_test_could_have(project: Project, stage: str) -> None:
    write(project, NAMED)
    result = project.run("--var", f"stage={stage}")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"build.json:*: the builder's name 'web-{stage}' is part of *"])


def test_a_name_without_its_value(project: Project) -> None:
    write(project, {**NAMED, "variables": {"stage": None}})
    project.run().stdout.fnmatch_lines(["*'stage'*"])
