//! Opening a profile and signing in, around every command that needs it.

use std::path::PathBuf;

use caseload_app::dto::{Phase, Status, Unlock};
use caseload_app::{App, Env, Sharing};
use serde::Serialize;

use crate::output::{self, Form};
use crate::{Done, Failure, passphrase};

/// What all commands share.
pub(crate) struct Context {
    pub(crate) profile: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) form: Form,
}

impl Context {
    /// The profile, whoever it belongs to; nobody is signed in. Nothing is shared in the background: a command shares when it is asked to.
    pub(crate) fn open(&self) -> Result<App, Failure> {
        let env = Env::system().sharing(Sharing::WhenAsked);
        let folder = match &self.profile {
            Some(folder) => folder.clone(),
            None => default_profile()?,
        };
        Ok(App::open_with(&folder, env)?)
    }

    /// The passphrase for this command.
    pub(crate) fn passphrase(&self) -> Result<String, Failure> {
        Ok(passphrase::read(self.passphrase_file.as_deref())?.to_string())
    }

    /// The profile with somebody signed in.
    pub(crate) fn sign_in(&self) -> Result<App, Failure> {
        let app = self.open()?;
        let status = app.status()?;
        if status.phase == Phase::NoPractice {
            return Err(Failure::Usage(
                "there is no practice in this profile: use `create` or `join`",
            ));
        }
        let user_id = self.person(&status)?;
        app.unlock(Unlock {
            user_id,
            passphrase: Some(self.passphrase()?),
        })?;
        Ok(app)
    }

    /// Who is meant: the named person, else the only one of the profile.
    pub(crate) fn person(&self, status: &Status) -> Result<String, Failure> {
        let named = |wanted: &String| {
            status
                .users
                .iter()
                .find(|user| user.id == *wanted || user.name == *wanted)
        };
        match (&self.user, status.users.as_slice()) {
            (Some(wanted), _) => named(wanted)
                .map(|user| user.id.clone())
                .ok_or(Failure::Usage("nobody of this name uses the profile")),
            (None, [only]) => Ok(only.id.clone()),
            (None, _) => Err(Failure::Usage("several people use the profile: say who with --user")),
        }
    }

    /// Prints an answer in the form that was asked for.
    pub(crate) fn print(&self, answer: &impl Serialize) -> Done {
        Ok(output::answer(self.form, answer)?)
    }

    /// Signs in, does one thing, locks, prints its answer.
    pub(crate) async fn with<T: Serialize>(&self, work: impl FnOnce(&App) -> Result<T, Failure>) -> Done {
        self.print(&self.done(work).await?)
    }

    /// Signs in, does one thing, locks.
    pub(crate) async fn done<T>(&self, work: impl FnOnce(&App) -> Result<T, Failure>) -> Result<T, Failure> {
        let app = self.sign_in()?;
        let answer = work(&app);
        app.lock().await?;
        answer
    }
}

/// The profile in the data folder of the operating system.
fn default_profile() -> Result<PathBuf, Failure> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let data = folder("XDG_DATA_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| Some(folder("HOME")?.join(".local/share")));
    data.map(|data| data.join("caseload"))
        .ok_or(Failure::Usage("there is no data folder: name a profile with --profile"))
}
