//! First run, joining, unlocking, locking and what the window shows before and around them.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ErrorCode, Instant};

/// What a person is in the practice. The admin right stands beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Therapist,
    FrontDesk,
    Admin,
}

/// Which of the window's worlds is the present one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing here yet: create a practice or join one.
    NoPractice,
    /// Created and signed in; the recovery code has not been typed back.
    RecoveryPending,
    Locked,
    Unlocked,
    /// The files cannot be opened; `problem` says why.
    Unavailable,
}

/// The first thing the window asks, and the answer of everything that changes the phase.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub phase: Phase,
    pub problem: Option<ErrorCode>,
    pub practice_name: Option<String>,
    pub device_name: Option<String>,
    /// People who can unlock this computer.
    pub users: Vec<UnlockUser>,
    pub last_user_id: Option<String>,
    pub session: Option<Session>,
    pub published: bool,
    /// Idle time until the window locks itself.
    pub auto_lock_seconds: u32,
    pub preferences: Preferences,
    pub version: String,
}

/// A person on the unlock screen.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct UnlockUser {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// The operating system's keyring can unlock for this person here.
    pub keyring: bool,
}

/// Who is signed in.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub user_id: String,
    pub name: String,
    pub role: Role,
    pub admin: bool,
    /// Holds a clinical key on this computer.
    pub clinician: bool,
}

/// Makes the practice, its owner and this computer's first store, offline.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CreatePractice {
    pub practice_name: String,
    pub location_name: String,
    /// IANA zone of the location.
    pub zone: String,
    /// ISO 4217.
    pub currency: String,
    pub full_name: String,
    pub licence: Option<String>,
    /// At least 15 characters.
    pub passphrase: String,
    pub device_name: Option<String>,
}

/// The printed way back in. Shown while `Phase::RecoveryPending` lasts, never again.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryKit {
    pub practice_name: String,
    pub user_name: String,
    pub groups: Vec<String>,
    /// Positions in `groups` (from 0) that have to be typed back.
    pub ask: Vec<u32>,
    pub made_at: Instant,
}

/// The groups typed back.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmRecovery {
    pub groups: Vec<RecoveryGroup>,
}

/// One group typed back.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryGroup {
    pub index: u32,
    pub text: String,
}

/// Signs a person in. Without a passphrase the keyring slot is tried.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Unlock {
    pub user_id: String,
    pub passphrase: Option<String>,
}

/// Signs a person in by her recovery code and gives her a new passphrase on this computer.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Recover {
    pub user_id: String,
    /// As it is on the paper; case, blanks and dashes do not matter.
    pub code: String,
    /// The new passphrase, at least 15 characters.
    pub passphrase: String,
}

/// The window reports how long nothing was typed or moved.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    pub idle_seconds: u32,
}

/// How long until the automatic lock; null while locked.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    pub locks_in_seconds: Option<u32>,
}

/// Enrols this empty computer with a code from an unlocked one.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    pub code: String,
    /// The new person's name; not needed for one's own second computer.
    pub full_name: Option<String>,
    pub licence: Option<String>,
    pub passphrase: String,
    pub device_name: Option<String>,
}

/// Whether the operating system's keyring answers and holds a slot for the person signed in.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct KeyringState {
    pub available: bool,
    pub enabled: bool,
}

/// Adds or removes the keyring slot of the person signed in.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SetKeyring {
    pub enabled: bool,
}

/// Light, dark, or what the system says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    System,
    Light,
    Dark,
}

/// The window's language.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    System,
    En,
    Ko,
}

/// How tightly rows and controls are set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Density {
    Comfortable,
    Compact,
}

/// The look of the window on this computer; nothing private.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    pub theme: Theme,
    pub language: Language,
    pub density: Density,
}
