//! Verifying signed records without any store: the content's canonical bytes, the signature over them, and the certificates from the practice's
//! root to the signer's key. Needs no network, no key and no service.

use caseload_domain::notes::signing_bytes;
use caseload_domain::{Document, EntityKey, PracticeId};
use caseload_protocol::checksum::{hex, sha256};
use caseload_vault::certificates::{VerifiedUser, verify_chain};
use caseload_vault::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dto::ErrorCode;
use crate::fault::{Fault, answer};
use crate::login::chain_of;

/// A signed note as it leaves the program. The form is frozen: notes that were exported years ago have to verify.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportedNote {
    /// What this file is.
    pub format: String,
    /// The practice.
    pub practice: PracticeId,
    /// Its name.
    pub practice_name: String,
    /// The public key of the practice's root, which everything is verified against.
    pub root: PublicKey,
    /// The certificate chains of everybody who signed.
    pub chains: Vec<Value>,
    /// The note.
    pub note: Record,
    /// What was added later.
    pub addenda: Vec<Record>,
}

impl ExportedNote {
    /// The present form.
    pub const FORMAT: &'static str = "caseload/note-export/v1";
}

/// One signed record.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    /// Type and id: part of what is signed.
    #[serde(flatten)]
    pub key: EntityKey,
    /// The content.
    pub document: Document,
}

/// What a verification found of one record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The hash in the signature is that of the content.
    pub text_matches: bool,
    /// The signature was made over the content by the key that it names.
    pub signature_matches: bool,
    /// The key is vouched for, from the root on, as the key of the person whom the signature names.
    pub chain_matches: bool,
    /// SHA-256 of the canonical bytes, hex.
    pub hash: String,
    /// The signer's name, as it was signed.
    pub signed_by: Option<String>,
    /// When it was signed, epoch milliseconds.
    pub signed_at: Option<i64>,
}

impl Verdict {
    /// Whether everything agrees.
    #[must_use]
    pub const fn valid(&self) -> bool {
        self.text_matches && self.signature_matches && self.chain_matches
    }
}

/// What a verification of an exported note found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedNote {
    /// Note and addenda all verify.
    pub valid: bool,
    /// The practice's name as the file states it.
    pub practice_name: String,
    /// The root key that everything was verified against.
    pub root: String,
    /// The note.
    pub note: Verdict,
    /// The addenda, in their order.
    pub addenda: Vec<Verdict>,
}

/// Verifies an exported note from its bytes. With `root` the file's own root must be that one; without it the answer says which root vouches, for
/// a person to compare.
///
/// # Errors
/// `invalid_request` when the file is no exported note, `upgrade_required` for a newer form, `foreign_practice` when it names another root.
pub fn verify_exported(bytes: &[u8], root: Option<&str>) -> Result<VerifiedNote, crate::dto::AppError> {
    answer("verify_exported", verify(bytes, root))
}

fn verify(bytes: &[u8], root: Option<&str>) -> Result<VerifiedNote, Fault> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| ErrorCode::InvalidRequest)?;
    match value.get("format").and_then(Value::as_str) {
        Some(ExportedNote::FORMAT) => {}
        Some(other) if other.starts_with("caseload/note-export/") => return Err(ErrorCode::UpgradeRequired.into()),
        _ => return Err(ErrorCode::InvalidRequest.into()),
    }
    let export: ExportedNote = serde_json::from_value(value).map_err(|_| ErrorCode::InvalidRequest)?;
    if root.is_some_and(|root| root.trim() != export.root.to_string()) {
        return Err(ErrorCode::ForeignPractice.into());
    }
    let of = |record: &Record| verify_record(&export.root, &export.chains, record);
    let note = of(&export.note);
    let is_about_it =
        |addendum: &Record| addendum.document.text("subject", "note") == Some(&export.note.key.id.to_string());
    let addenda: Vec<Verdict> = export.addenda.iter().map(of).collect();
    let belong = export.addenda.iter().all(is_about_it);
    Ok(VerifiedNote {
        valid: note.valid() && belong && addenda.iter().all(Verdict::valid),
        practice_name: export.practice_name,
        root: export.root.to_string(),
        note,
        addenda,
    })
}

/// Verifies one record against a root and the chains at hand.
pub(crate) fn verify_record(root: &PublicKey, chains: &[Value], record: &Record) -> Verdict {
    let doc = &record.document;
    let empty = Value::Null;
    let unit = doc.unit("signature").unwrap_or(&empty);
    let bytes = signing_bytes(&record.key, doc, unit).unwrap_or_default();
    let hash = hex(&sha256(&bytes));
    let key: Option<PublicKey> = unit.get("key").and_then(|key| PublicKey::deserialize(key).ok());
    let signature: Option<Signature> = unit.get("value").and_then(|value| Signature::deserialize(value).ok());
    let signed = key
        .zip(signature)
        .is_some_and(|(key, signature)| key.verify(&bytes, &signature).is_ok());
    let author = doc.text("signature", "author");
    let is_author =
        |verified: &VerifiedUser| Some(verified.user_key) == key && Some(verified.user.to_string().as_str()) == author;
    let vouched = chains
        .iter()
        .filter_map(chain_of)
        .filter_map(|chain| verify_chain(root, &chain, None).ok())
        .any(|verified| is_author(&verified));
    // Nobody signs for somebody else.
    let own = doc.text("subject", "author") == author;
    Verdict {
        text_matches: doc.text("signature", "hash") == Some(hash.as_str()),
        signature_matches: signed,
        chain_matches: vouched && own,
        hash,
        signed_by: doc.text("signature", "author_name").map(str::to_owned),
        signed_at: doc.integer("signature", "signed_at"),
    }
}
