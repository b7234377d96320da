/** Who sits here. `roles`: null for nobody that control knows; `oidc`: an identity provider is configured. */
export interface Visitor {
  readonly name: string | null;
  readonly roles: readonly string[] | null;
  readonly oidc: boolean;
}

/** Ask control; null where it does not answer in time. */
export async function askVisitor(withinMs: number): Promise<Visitor | null> {
  try {
    const answer = await fetch("./api/v1/me", { signal: AbortSignal.timeout(withinMs) });
    return answer.ok ? ((await answer.json()) as Visitor) : null;
  } catch {
    return null;
  }
}
