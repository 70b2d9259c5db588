/** What stands under the search field. */
export interface View {
  /** For the window's title. */
  title: string;
  element: HTMLElement;
  /** The replica knows more, or time has passed. */
  update?(): void;
  close?(): void;
}
