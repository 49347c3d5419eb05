//! The folder of ciphertexts beside a database: `blobs/<name of the database>/<id>`, with `.new` while a file is being sealed and `.part`
//! while it is being fetched. A name without ending is whole and on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use caseload_domain::BlobId;
use caseload_vault::blob;

pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of the database at `path`. Nothing is made until something is kept.
    pub(crate) fn beside(path: &Path) -> Self {
        let name = path.file_stem().unwrap_or_default();
        Self(path.with_file_name("blobs").join(name))
    }

    fn whole(&self, blob: BlobId) -> PathBuf {
        self.0.join(blob.to_string())
    }

    fn ending(&self, blob: BlobId, ending: &str) -> PathBuf {
        self.0.join(format!("{blob}.{ending}"))
    }

    fn create(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)
    }

    /// Writes a new file by `fill`; it is kept, whole and synced, when that gives `true`.
    pub(crate) fn make(&self, blob: BlobId, fill: impl FnOnce(&mut dyn Write) -> io::Result<bool>) -> io::Result<()> {
        self.create()?;
        let unfinished = self.ending(blob, "new");
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&unfinished)?;
        let filled = fill(&mut file).and_then(|keep| {
            if keep {
                self.keep(&file, &unfinished, blob)?;
            }
            Ok(keep)
        });
        match filled {
            Ok(true) => Ok(()),
            outcome => {
                remove(&unfinished)?;
                outcome.map(drop)
            }
        }
    }

    /// Syncs what was written under another name and gives it its own.
    fn keep(&self, file: &File, written: &Path, blob: BlobId) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(written, self.whole(blob))?;
        #[cfg(unix)]
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }

    /// A whole file.
    pub(crate) fn read(&self, blob: BlobId) -> io::Result<Option<File>> {
        match File::open(self.whole(blob)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// At most `most` bytes of a whole file from `offset`.
    pub(crate) fn part(&self, blob: BlobId, offset: u64, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.read(blob)? else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(most);
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Bytes that were fetched so far.
    pub(crate) fn fetched(&self, blob: BlobId) -> io::Result<u64> {
        match fs::metadata(self.ending(blob, "part")) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Appends to what was fetched. Not synced: the hash at the end finds what a power cut took.
    pub(crate) fn append(&self, blob: BlobId, bytes: &[u8]) -> io::Result<()> {
        self.create()?;
        let mut file = private(OpenOptions::new().append(true).create(true)).open(self.ending(blob, "part"))?;
        file.write_all(bytes)
    }

    /// Keeps what was fetched if it has this hash; throws it away if not.
    pub(crate) fn keep_fetched(&self, blob: BlobId, sha256: &[u8; 32]) -> io::Result<bool> {
        let fetched = self.ending(blob, "part");
        // For writing, because a file that was opened for reading alone is not synced everywhere.
        let mut file = match OpenOptions::new().read(true).append(true).open(&fetched) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.is_kept(blob, sha256),
            file => file?,
        };
        let right = blob::hash_file(&mut file)? == *sha256;
        if right {
            self.keep(&file, &fetched, blob)?;
        } else {
            remove(&fetched)?;
        }
        Ok(right)
    }

    /// Whether it was kept before a crash that took the database's word for it.
    fn is_kept(&self, blob: BlobId, sha256: &[u8; 32]) -> io::Result<bool> {
        match self.read(blob)? {
            None => Ok(false),
            Some(mut file) => Ok(blob::hash_file(&mut file)? == *sha256),
        }
    }

    /// Removes a file, whole or not.
    pub(crate) fn remove(&self, blob: BlobId) -> io::Result<()> {
        remove(&self.whole(blob))?;
        remove(&self.ending(blob, "part"))
    }

    /// Removes everything whose id is not `known`, and what was never finished being sealed.
    pub(crate) fn sweep(&self, known: impl Fn(BlobId) -> bool) -> io::Result<()> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let (id, ending) = name.split_once('.').unwrap_or((&name, ""));
            let keep = id.parse().is_ok_and(&known) && ending != "new";
            if !keep {
                remove(&self.0.join(&*name))?;
            }
        }
        Ok(())
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
