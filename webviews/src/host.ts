declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

/** The extension, as a panel's page speaks to it, and what the page remembers when it is thrown away. */
export interface Host<Output, State> {
  /** What was remembered; `save` changes it in place. */
  readonly saved: State;
  save(change: Partial<State>): void;
  post(message: Output): void;
}

/** May be called once. @param read takes whatever an older version of the page has left */
export function connectHost<Output, State extends object>(
  read: (state: unknown) => State,
): Host<Output, State> {
  const vscode = acquireVsCodeApi();
  const saved = read(vscode.getState());
  return {
    saved,
    save: (change) => vscode.setState(Object.assign(saved, change)),
    post: (message) => vscode.postMessage(message),
  };
}
