// What came of a rollback asked for here, in words a person on call can act on. Pure, so that it is tested.

export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

interface Answer {
  readonly is_zero?: boolean;
  readonly seconds?: number;
  readonly gateways?: readonly string[];
  readonly missing?: readonly string[];
  readonly unlogged?: string;
  readonly killed?: readonly string[];
  readonly is_set_aside?: boolean;
  readonly error?: { readonly message?: string; readonly hint?: string };
}

/** `status`: of the answer, null if there was none. */
export function outcomeOf(status: number | null, answer: Answer): Outcome {
  if (status === null) {
    return { ok: false, text: "Control did not answer. At each gateway: curl -X PUT http://GATEWAY_ADMIN/admin/kill/FEATURE" };
  }
  if (status === 401) {
    return { ok: false, text: "You are not logged in. Open the link that `crossfade login` prints, or log in at /login/oidc." };
  }
  if (status !== 200) {
    const { message = `status ${status}`, hint } = answer.error ?? {};
    return { ok: false, text: hint ? `${message} (${hint})` : message };
  }
  if (answer.unlogged) {
    const where = (answer.killed ?? []).join(", ") || "no gateway";
    const missing = (answer.missing ?? []).join(", ");
    const left = missing && ` NOT on ${missing}: pull them there.`;
    const then = answer.is_set_aside
      ? "The log gets it when it can be written, unless the migration was closed or resumed meanwhile; the switches stay pulled."
      : "Roll back again when the log can be written.";
    const text = `Kill switches were pulled on ${where}.${left} The log was not written: ${answer.unlogged}. ${then}`;
    return { ok: answer.is_zero === true && answer.is_set_aside === true, text };
  }
  const seconds = (answer.seconds ?? 0).toFixed(2);
  if (answer.is_zero) {
    return { ok: true, text: `Share 0 on ${answer.gateways?.length ?? 0} gateways after ${seconds} s.` };
  }
  return { ok: false, text: `Not shown after ${seconds} s by ${(answer.missing ?? []).join(", ") || "any gateway"}: pull the kill switch there.` };
}

/** Ask control to roll back; never throws. */
export async function rollBack(name: string, reason: string): Promise<Outcome> {
  try {
    const answer = await fetch(`./api/v1/migrations/${encodeURIComponent(name)}/rollback`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ actor: "console", reason: reason || "from the console" }),
    });
    return outcomeOf(answer.status, (await answer.json()) as Answer);
  } catch {
    return outcomeOf(null, {});
  }
}
