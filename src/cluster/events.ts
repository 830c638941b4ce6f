/** What the supervision of the nodes tells: each end of a node, each return, and when it gave up. */
export type ClusterEvent =
  | {
      readonly type: 'node_exit';
      readonly node: string;
      readonly pid: number;
      /** Both null when it was not started by this process, which then cannot know. */
      readonly code: number | null;
      readonly signal: string | null;
    }
  | {
      /** The node is healthy again, on the same ports. */
      readonly type: 'node_restarted';
      readonly node: string;
      readonly pid: number;
      /** From its end to its health, in milliseconds. */
      readonly down_ms: number;
    }
  | {
      /** No further restart is tried; the cluster goes on with the other nodes. */
      readonly type: 'node_failed';
      readonly node: string;
      readonly restarts: number;
      readonly message: string;
    };

/** Must not throw. */
export type ClusterListener = (event: ClusterEvent) => void;
