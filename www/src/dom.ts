// Elements from words. Text is only ever set as text: what a main node sends cannot become markup.

type Content = Node | string | number | null | undefined | false | Content[];
type Properties = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

/** An element. Functions are listeners, `false`, `null` and `undefined` leave an attribute out. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties = {},
  ...content: Content[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value as (event: Event) => void);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...nodes(content));
  return element;
}

/** Puts `content` in place of what is there. */
export function fill(element: Element, ...content: Content[]): void {
  element.replaceChildren(...nodes(content));
}

/** Sets the text if it is another one, so that screen readers and selections are left alone. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function nodes(content: Content): (Node | string)[] {
  if (Array.isArray(content)) return content.flatMap(nodes);
  if (content === null || content === undefined || content === false) return [];
  return [content instanceof Node ? content : String(content)];
}

/** The element with this id, which index.html has. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}
