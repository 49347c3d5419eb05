// The practice's closed lists in words. Types keep each table complete.
import type {
  AppointmentStatus,
  AttentionKind,
  CareStatus,
  EntityType,
  Modality,
  NoteState,
  NoteTemplate,
  Permission,
  Placement,
  PrescriptionState,
  Relation,
  Resource,
  RiskLevel,
  Role,
} from "$lib/backend";
import { m } from "$lib/paraglide/messages";

type Words<K extends string> = Record<K, () => string>;

export const roleWords: Words<Role> = { therapist: m.role_therapist, front_desk: m.role_front_desk, admin: m.role_admin };

export const statusWords: Words<AppointmentStatus> = {
  requested: m.status_requested,
  scheduled: m.status_scheduled,
  confirmed: m.status_confirmed,
  arrived: m.status_arrived,
  in_session: m.status_in_session,
  completed: m.status_completed,
  no_show: m.status_no_show,
  cancelled_by_client: m.status_cancelled_by_client,
  late_cancelled: m.status_late_cancelled,
  cancelled_by_therapist: m.status_cancelled_by_therapist,
};

/** What the button that leads to a status says. */
export const statusActions: Words<AppointmentStatus> = {
  requested: m.status_requested,
  scheduled: m.act_scheduled,
  confirmed: m.act_confirmed,
  arrived: m.act_arrived,
  in_session: m.act_in_session,
  completed: m.act_completed,
  no_show: m.act_no_show,
  cancelled_by_client: m.act_cancelled_by_client,
  late_cancelled: m.act_late_cancelled,
  cancelled_by_therapist: m.act_cancelled_by_therapist,
};

export const placementWords: Words<Placement> = {
  provisional: m.placement_provisional,
  placed: m.placement_placed,
  contested: m.placement_contested,
};

export const modalityWords: Words<Modality> = {
  in_person: m.modality_in_person,
  video: m.modality_video,
  voice: m.modality_voice,
  chat: m.modality_chat,
};

export const templateWords: Words<NoteTemplate> = {
  soap: m.template_soap,
  dap: m.template_dap,
  birp: m.template_birp,
  girp: m.template_girp,
  intake: m.template_intake,
  free: m.template_free,
};

export const noteStateWords: Words<NoteState> = {
  draft: m.note_state_draft,
  signed: m.note_state_signed,
  entered_in_error: m.note_state_error,
};

export const prescriptionStateWords: Words<PrescriptionState> = {
  draft: m.rx_state_draft,
  issued: m.rx_state_issued,
  printed: m.rx_state_printed,
  stopped: m.rx_state_stopped,
  voided: m.rx_state_voided,
  replaced: m.rx_state_replaced,
  expired: m.rx_state_expired,
};

export const permissionWords: Words<Permission> = {
  allowed: m.permission_allowed,
  refused: m.permission_refused,
  not_asked: m.permission_not_asked,
};

export const riskWords: Words<RiskLevel> = {
  none: m.risk_none,
  low: m.risk_low,
  moderate: m.risk_moderate,
  high: m.risk_high,
};

export const relationWords: Words<Relation> = {
  guardian: m.relation_guardian,
  partner: m.relation_partner,
  emergency_contact: m.relation_emergency_contact,
  payer: m.relation_payer,
  other: m.relation_other,
};

export const careWords: Words<CareStatus> = { active: m.care_active, paused: m.care_paused, ended: m.care_ended };

export const resourceWords: Words<Resource> = {
  therapist: m.resource_therapist,
  room: m.resource_room,
  client: m.resource_client,
};

export const attentionWords: Words<AttentionKind> = {
  conflict: m.attention_conflict,
  clash: m.attention_clash,
  refused_change: m.attention_refused_change,
  unsigned_note: m.attention_unsigned_note,
  missing_note: m.attention_missing_note,
  needs_therapist: m.attention_needs_therapist,
  offered_back: m.attention_offered_back,
};

/** What a record is, in one word. */
export const entityWords: Words<EntityType> = {
  practice: m.settings_practice,
  location: m.location_name,
  staff_member: m.entity_staff,
  device: m.entity_computer,
  client: m.client,
  client_chart: m.entity_chart,
  related_person: m.entity_related,
  care_relationship: m.entity_care,
  appointment: m.appointment,
  session: m.entity_session,
  session_note: m.note,
  addendum: m.addendum,
  prescription: m.rx,
  conflict: m.entity_review,
  clash: m.clash_here,
  other: m.entity_other,
};

const sectionWords: Record<string, () => string> = {
  subjective: m.section_subjective,
  objective: m.section_objective,
  assessment: m.section_assessment,
  plan: m.section_plan,
  data: m.section_data,
  behaviour: m.section_behaviour,
  intervention: m.section_intervention,
  response: m.section_response,
  goal: m.section_goal,
  presenting: m.section_presenting,
  history: m.section_history,
  risk: m.section_risk,
  formulation: m.section_formulation,
  mental_status: m.section_mental_status,
  text: m.section_text,
};

/** A note section's heading; a section that this version does not know is shown by its key. */
export function sectionWord(key: string): string {
  return sectionWords[key]?.() ?? key;
}

/** The sections of each template, in order; the same keys as in the stored notes. */
export const templateSections: Record<NoteTemplate, string[]> = {
  soap: ["subjective", "objective", "assessment", "plan"],
  dap: ["data", "assessment", "plan"],
  birp: ["behaviour", "intervention", "response", "plan"],
  girp: ["goal", "intervention", "response", "plan"],
  intake: ["presenting", "history", "mental_status", "risk", "formulation", "plan"],
  free: ["text"],
};

const unitWords: Record<string, () => string> = {
  name: m.field_name,
  birthDate: m.field_birth_date,
  pronouns: m.field_pronouns,
  phone: m.field_phone,
  otherPhone: m.field_other_phone,
  email: m.field_email,
  address: m.field_address,
  voicemail: m.field_voicemail,
  sms: m.field_sms,
  officeAlert: m.field_office_alert,
  schedule: m.field_schedule,
  status: m.field_status,
  mayBeTold: m.field_may_be_told,
  relation: m.field_relation,
  allergies: m.field_allergies,
  risk: m.field_risk,
  safetyPlan: m.field_safety_plan,
  lines: m.rx_lines,
  diagnosis: m.rx_diagnosis,
  instructions: m.rx_instructions,
};

/** What a merge unit is called; one that this version does not know is shown by its name. */
export function unitWord(unit: string): string {
  const camel = unit.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return unitWords[camel]?.() ?? sectionWords[camel]?.() ?? unit;
}
