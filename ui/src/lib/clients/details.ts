import type { Address, ClientDetails, ClientPatch } from "$lib/backend";

export function emptyDetails(): ClientDetails {
  return {
    name: { family: "", given: "", preferred: "", romanised: "" },
    birthDate: null,
    pronouns: "",
    phone: "",
    otherPhone: "",
    email: "",
    address: { line1: "", line2: "", city: "", region: "", postcode: "", country: "" },
    voicemail: "not_asked",
    sms: "not_asked",
    officeAlert: "",
  };
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Only the units that differ, so that two people who change different things do not meet. */
export function patchOf(before: ClientDetails, after: ClientDetails): ClientPatch {
  const patch: ClientPatch = {};
  if (!same(before.name, after.name)) patch.name = after.name;
  if ((before.birthDate ?? "") !== (after.birthDate ?? "")) patch.birthDate = after.birthDate ?? "";
  if (before.pronouns !== after.pronouns) patch.pronouns = after.pronouns;
  if (before.phone !== after.phone) patch.phone = after.phone;
  if (before.otherPhone !== after.otherPhone) patch.otherPhone = after.otherPhone;
  if (before.email !== after.email) patch.email = after.email;
  if (!same(before.address, after.address)) patch.address = after.address;
  if (before.voicemail !== after.voicemail) patch.voicemail = after.voicemail;
  if (before.sms !== after.sms) patch.sms = after.sms;
  if (before.officeAlert !== after.officeAlert) patch.officeAlert = after.officeAlert;
  return patch;
}

/** What was saved, with what was typed while it was being saved. */
export function carryOver(saved: ClientDetails, sent: ClientDetails, typed: ClientDetails): ClientDetails {
  return { ...structuredClone(saved), ...(patchOf(sent, typed) as Partial<ClientDetails>) };
}

/** An address on one line, in the order it is written. */
export function addressLine(address: Address, locale: string): string {
  const parts =
    locale === "ko"
      ? [address.country, address.region, address.city, address.line1, address.line2, address.postcode]
      : [address.line1, address.line2, address.city, address.region, address.postcode, address.country];
  return parts.filter(Boolean).join(locale === "ko" ? " " : ", ");
}
