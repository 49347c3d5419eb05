#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

struct Folders {
    _root: TempDir,
    data: PathBuf,
    elsewhere: PathBuf,
}

fn folders() -> Folders {
    let root = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (root.path().join("data"), root.path().join("elsewhere"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    Folders {
        _root: root,
        data,
        elsewhere,
    }
}

fn standard(config_home: &Path, credentials: Option<&Path>) -> MasterKeySource {
    MasterKeySource::Standard(Environment {
        credentials: credentials.map(Path::to_owned),
        config_home: Some(config_home.to_owned()),
        home: None,
    })
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_standard_key_is_made_once_for_its_owner_alone() {
    let folders = folders();
    let source = standard(&folders.elsewhere, None);
    let first = source.read(&folders.data).unwrap();
    assert_eq!(source.read(&folders.data).unwrap().expose(), first.expose());
    assert_eq!(mode(&folders.elsewhere.join("caseload/master-key")), 0o600);
}

#[test]
fn the_credentials_folder_of_the_service_manager_comes_first() {
    let folders = folders();
    let credentials = folders.elsewhere.join("credentials");
    create(&credentials.join(CREDENTIAL_NAME)).unwrap();
    let of_manager = MasterKeySource::File(credentials.join(CREDENTIAL_NAME))
        .read(&folders.data)
        .unwrap();
    let key = standard(&folders.elsewhere, Some(&credentials))
        .read(&folders.data)
        .unwrap();
    assert_eq!(key.expose(), of_manager.expose());
    assert!(!folders.elsewhere.join("caseload").exists(), "no second key is made");
}

#[test]
fn a_key_inside_the_data_folder_is_refused_even_behind_a_link_and_before_it_exists() {
    let folders = folders();
    let inside = folders.data.join("key");
    create(&inside).unwrap();
    let link = folders.elsewhere.join("link");
    std::os::unix::fs::symlink(&folders.data, &link).unwrap();
    for source in [
        MasterKeySource::File(inside),
        MasterKeySource::File(link.join("key")),
        standard(&link, None),
        standard(&folders.data.join("config"), None),
    ] {
        assert!(
            matches!(source.read(&folders.data), Err(MasterKeyError::InsideDataFolder)),
            "{source:?}"
        );
    }
    assert!(
        !folders.data.join("caseload").exists() && !folders.data.join("config").exists(),
        "and nothing was made there"
    );
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folders = folders();
    let file = folders.elsewhere.join("key");
    create(&file).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let read = MasterKeySource::File(file.clone()).read(&folders.data);
        assert!(matches!(read, Err(MasterKeyError::ReadableByOthers)), "{mode:o}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(
        MasterKeySource::File(file).read(&folders.data).is_ok(),
        "read-only for the owner is how credentials come"
    );
}

#[test]
fn a_named_file_that_is_missing_or_holds_something_else_gives_its_own_error() {
    let folders = folders();
    let file = folders.elsewhere.join("key");
    assert!(matches!(
        MasterKeySource::File(file.clone()).read(&folders.data),
        Err(MasterKeyError::Missing)
    ));
    assert!(!file.exists(), "a mistyped path makes no key");
    for content in [&b""[..], b"hello", &[0xff; 64], &[b'0'; 66]] {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            MasterKeySource::File(file.clone()).read(&folders.data),
            Err(MasterKeyError::NotAKey)
        ));
    }
    let nowhere = MasterKeySource::Standard(Environment::default());
    assert!(matches!(nowhere.read(&folders.data), Err(MasterKeyError::NoFolder)));
}

#[test]
fn a_demonstration_keeps_its_key_with_its_data() {
    let folders = folders();
    let key = MasterKeySource::Demonstration.read(&folders.data).unwrap();
    assert_eq!(
        MasterKeySource::Demonstration.read(&folders.data).unwrap().expose(),
        key.expose()
    );
}
