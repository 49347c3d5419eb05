//! The rules of `migrations/`: names, gapless numbers, and contents that never change once they are merged.
//!
//! `migrations/FROZEN.txt` holds one line per merged file: its SHA-256, two blanks, its path below `migrations/`. Lines are added
//! by [`freeze`] and never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::processes;
use crate::project::{Project, in_ci};
use crate::terminal::say;

const FOLDER: &str = "migrations";
const FROZEN: &str = "migrations/FROZEN.txt";

/// The line every new `FROZEN.txt` begins with.
const HEADING: &str =
    "# SHA-256 of every merged migration. `cargo xtask freeze-migrations` adds lines; no line is ever changed.\n";

/// Hashes in hex by path, such as `office/0001_create_doc.sql`.
type Hashes = BTreeMap<String, String>;

/// Checks names, numbers and frozen hashes. In continuous integration a file that is not frozen is an error, too: what is merged is frozen.
pub(crate) fn check(project: &Project) -> Result<()> {
    let (files, frozen) = (hashes(project)?, frozen(project)?);
    let mut faults = name_faults(&files.keys().map(String::as_str).collect::<Vec<_>>());
    faults.extend(frozen_faults(&files, &frozen));
    let loose = not_frozen(&files, &frozen);
    if in_ci() {
        faults.extend(
            loose
                .iter()
                .map(|path| format!("{path} is not frozen: run `cargo xtask freeze-migrations`")),
        );
    } else {
        loose.iter().for_each(|path| {
            say(format!(
                "{path} is not frozen yet; before it is merged, run `cargo xtask freeze-migrations`"
            ))
        });
    }
    if !faults.is_empty() {
        bail!("migrations:\n  {}", faults.join("\n  "));
    }
    say(format!("{} migrations, {} frozen", files.len(), frozen.len()));
    Ok(())
}

/// Adds the hashes of new files to `FROZEN.txt`.
///
/// # Errors
/// When a frozen file was changed or is gone: those are never recorded anew.
pub(crate) fn freeze(project: &Project) -> Result<()> {
    let (files, frozen) = (hashes(project)?, frozen(project)?);
    let mut faults = name_faults(&files.keys().map(String::as_str).collect::<Vec<_>>());
    faults.extend(frozen_faults(&files, &frozen));
    if !faults.is_empty() {
        bail!("migrations:\n  {}", faults.join("\n  "));
    }
    let path = project.path(FROZEN);
    let mut text = if path.exists() {
        fs::read_to_string(&path).with_context(|| format!("read {FROZEN}"))?
    } else {
        HEADING.to_owned()
    };
    for new in not_frozen(&files, &frozen) {
        text.push_str(&format!("{}  {new}\n", files[&new]));
        say(format!("frozen: {new}"));
    }
    fs::write(&path, text).with_context(|| format!("write {FROZEN}"))
}

fn hashes(project: &Project) -> Result<Hashes> {
    let root = project.path(FOLDER);
    let mut paths = Vec::new();
    for folder in entries(&root)?.into_iter().filter(|name| root.join(name).is_dir()) {
        paths.extend(
            entries(&root.join(&folder))?
                .into_iter()
                .map(|name| format!("{folder}/{name}")),
        );
    }
    if paths.is_empty() {
        return Ok(Hashes::new());
    }
    let mut command = project.command("sha256sum");
    parse(&processes::output(
        "sha256sum",
        command.current_dir(&root).arg("--").args(&paths),
    )?)
}

fn entries(folder: &Path) -> Result<BTreeSet<String>> {
    let read = || -> std::io::Result<BTreeSet<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    read().with_context(|| format!("read {}", folder.display()))
}

fn frozen(project: &Project) -> Result<Hashes> {
    let path = project.path(FROZEN);
    if !path.exists() {
        return Ok(Hashes::new());
    }
    parse(&fs::read_to_string(&path).with_context(|| format!("read {FROZEN}"))?)
}

/// Reads lines of hash, two blanks, path; lines that begin with `#` are comments.
fn parse(text: &str) -> Result<Hashes> {
    let mut hashes = Hashes::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (hash, path) = line
            .split_once("  ")
            .with_context(|| format!("read the line {line:?}"))?;
        if hashes.insert(path.to_owned(), hash.to_owned()).is_some() {
            bail!("{path} is listed twice");
        }
    }
    Ok(hashes)
}

/// Files whose names are not `NNNN_verb_noun.sql`, and gaps in the numbers of a folder, which begin at 1.
fn name_faults(paths: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut next: BTreeMap<&str, u32> = BTreeMap::new();
    for path in paths {
        let Some((folder, number)) = numbered(path) else {
            faults.push(format!("{path} is not named like 0001_create_appointment.sql"));
            continue;
        };
        let expected = next.entry(folder).or_insert(1);
        if number != *expected {
            faults.push(format!("{path} should have the number {expected:04}"));
        }
        *expected = number + 1;
    }
    faults
}

fn numbered(path: &str) -> Option<(&str, u32)> {
    let (folder, name) = path.split_once('/')?;
    let (number, words) = name.strip_suffix(".sql")?.split_once('_')?;
    let plain = words.split('_').count() >= 2
        && words.split('_').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && plain).then_some(())?;
    Some((folder, number.parse().ok()?))
}

/// Frozen files that were changed or are gone.
fn frozen_faults(files: &Hashes, frozen: &Hashes) -> Vec<String> {
    frozen
        .iter()
        .filter_map(|(path, hash)| match files.get(path) {
            None => Some(format!("{path} is frozen and gone")),
            Some(now) if now != hash => Some(format!("{path} is frozen and was changed; add a new migration instead")),
            Some(_) => None,
        })
        .collect()
}

fn not_frozen(files: &Hashes, frozen: &Hashes) -> Vec<String> {
    files
        .keys()
        .filter(|path| !frozen.contains_key(*path))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hashes_of(pairs: &[(&str, &str)]) -> Hashes {
        pairs
            .iter()
            .map(|(path, hash)| ((*path).to_owned(), (*hash).to_owned()))
            .collect()
    }

    #[test]
    fn numbers_are_gapless_from_one_in_each_folder() {
        assert!(
            name_faults(&[
                "office/0001_create_doc.sql",
                "office/0002_add_search.sql",
                "service/0001_create_ops.sql"
            ])
            .is_empty()
        );
        assert_eq!(
            name_faults(&["office/0002_create_doc.sql"]),
            ["office/0002_create_doc.sql should have the number 0001"]
        );
        assert_eq!(
            name_faults(&["office/0001_create_doc.sql", "office/0003_add_search.sql"]),
            ["office/0003_add_search.sql should have the number 0002"]
        );
        assert_eq!(
            name_faults(&["office/0001_create_doc.sql", "office/0001_drop_doc.sql"]),
            ["office/0001_drop_doc.sql should have the number 0002"]
        );
    }

    #[test]
    fn names_are_a_number_a_verb_and_a_noun() {
        for path in [
            "office/1_create_doc.sql",
            "office/0001_create.sql",
            "office/0001_Create_doc.sql",
            "office/0001_create_doc.txt",
            "office/0001-create-doc.sql",
        ] {
            assert_eq!(name_faults(&[path]).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_frozen_file_is_neither_changed_nor_removed() {
        let frozen = hashes_of(&[
            ("office/0001_create_doc.sql", "aa"),
            ("office/0002_add_search.sql", "bb"),
        ]);
        let files = hashes_of(&[
            ("office/0001_create_doc.sql", "ff"),
            ("office/0003_add_audit.sql", "cc"),
        ]);
        let faults = frozen_faults(&files, &frozen);
        assert_eq!(faults.len(), 2);
        assert!(
            faults[0].contains("was changed") && faults[1].contains("gone"),
            "{faults:?}"
        );
        assert_eq!(not_frozen(&files, &frozen), ["office/0003_add_audit.sql"]);
    }

    #[test]
    fn the_list_of_hashes_skips_comments_and_refuses_repetitions() {
        let parsed = parse("# heading\naa  office/0001_create_doc.sql\n").unwrap();
        assert_eq!(parsed, hashes_of(&[("office/0001_create_doc.sql", "aa")]));
        assert!(parse("aa  x\nbb  x\n").is_err());
        assert!(parse("nonsense\n").is_err());
    }

    #[test]
    fn freezing_records_new_files_and_refuses_changed_ones() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let project = Project::at(folder);
        fs::create_dir_all(folder.join("migrations/office")).unwrap();
        let file = folder.join("migrations/office/0001_create_doc.sql");
        fs::write(&file, "CREATE TABLE doc (id TEXT);\n").unwrap();
        freeze(&project).unwrap();
        let once = fs::read_to_string(folder.join(FROZEN)).unwrap();
        freeze(&project).unwrap();
        assert_eq!(
            fs::read_to_string(folder.join(FROZEN)).unwrap(),
            once,
            "a second time adds nothing"
        );
        fs::write(&file, "CREATE TABLE doc (id BLOB);\n").unwrap();
        assert!(freeze(&project).is_err());
        assert_eq!(
            fs::read_to_string(folder.join(FROZEN)).unwrap(),
            once,
            "a refused freeze writes nothing"
        );
    }
}
