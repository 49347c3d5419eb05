//! How the window looks on this computer, and who was here last. Nothing private, so that it is there before anybody unlocks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::app::{App, Core};
use crate::dto::{AppError, Density, Language, Preferences, Theme};
use crate::fault::{Fault, answer};
use crate::files;

/// The file's content. Members that another version wrote are kept.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferences: Option<Preferences>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_user: Option<String>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

const USUAL: Preferences = Preferences {
    theme: Theme::System,
    language: Language::System,
    density: Density::Comfortable,
};

impl App {
    /// The look of the window; also while nobody is signed in.
    ///
    /// # Errors
    /// None at present; the signature is that of every command.
    pub fn preferences(&self) -> Result<Preferences, AppError> {
        Ok(self.core.preferences())
    }

    /// Keeps another look.
    ///
    /// # Errors
    /// `disk_error`.
    pub fn set_preferences(&self, request: Preferences) -> Result<Preferences, AppError> {
        let done = self.core.change_preferences(|kept| kept.preferences = Some(request));
        answer("set_preferences", done.map(|()| request))
    }
}

impl Core {
    pub(crate) fn preferences(&self) -> Preferences {
        self.kept().preferences.unwrap_or(USUAL)
    }

    /// The language of printed documents: English or Korean.
    pub(crate) fn language(&self) -> Language {
        match self.preferences().language {
            Language::System => self.env.language,
            chosen => chosen,
        }
    }

    pub(crate) fn last_user(&self) -> Option<String> {
        self.kept().last_user
    }

    pub(crate) fn remember_user(&self, user: &str) {
        if let Err(fault) = self.change_preferences(|kept| kept.last_user = Some(user.to_owned())) {
            // It only spares a click.
            fault.told("remember_user");
        }
    }

    fn preferences_file(&self) -> PathBuf {
        self.profile.join("preferences.json")
    }

    /// A missing or unreadable file means the usual look.
    fn kept(&self) -> Kept {
        std::fs::read(self.preferences_file())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn change_preferences(&self, change: impl FnOnce(&mut Kept)) -> Result<(), Fault> {
        let mut kept = self.kept();
        change(&mut kept);
        let text = serde_json::to_vec_pretty(&kept).map_err(std::io::Error::other)?;
        Ok(files::replace(&self.preferences_file(), &text)?)
    }
}
