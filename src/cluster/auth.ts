/**
 * What a node needs to know about trust. The identity of a fabric implements it; the cluster only carries it to the
 * nodes and never looks inside.
 */
export interface NodeAuth {
  /**
   * Plain values, unquoted: `IF_OPERATOR_JWT`, the operator's JWT, and `IF_SYSTEM_ACCOUNT`, the public key of the
   * system account.
   */
  readonly environment: Readonly<Record<string, string>>;

  /**
   * Writes the JWT of every account into `dir` as `<account public key>.jwt`. Called before each start and restart of a
   * node, so that what was revoked while the node was down stays revoked. `dir` exists and may hold older JWTs.
   */
  writeResolver(dir: string): Promise<void>;
}
