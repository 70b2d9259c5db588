// Which chain, and by whose word: the form that fills the address bar.

import { ConfigError, checkpoint, confirm, fromQuery, keep, lastUsed, rememberUsed, rollup } from "../config";
import { h, say } from "../dom";
import { notice, reason } from "../parts";
import type { View } from "./view";

/** `problem` is why what the address bar says is of no use. */
export function setupView(problem: string | null): View {
  const query = new URLSearchParams(location.search);
  const last = lastUsed();
  const value = (name: string) => query.get(name) ?? last[name] ?? "";
  const wrong = h("p", { class: "problem", role: "alert", id: "setup-problem" });

  const line = (name: string, label: string, hint: string, placeholder: string) => {
    const input = h("input", {
      id: `setup-${name}`,
      name,
      value: value(name).startsWith("kept/") ? "" : value(name),
      placeholder,
      inputmode: "url",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": `setup-${name}-hint`,
    });
    return {
      input,
      element: h(
        "div",
        { class: "line" },
        h("label", { for: input.id }, label),
        h("p", { class: "hint", id: `setup-${name}-hint` }, hint),
        input,
      ),
    };
  };
  const part = (name: string, label: string, hint: string, placeholder: string) => {
    const { input, element } = line(name, label, hint, placeholder);
    const file = h("input", {
      type: "file",
      id: `setup-${name}-file`,
      accept: ".json,application/json",
      "aria-label": `${label}: choose a file`,
    });
    const earlier = value(name).startsWith("kept/") ? value(name) : null;
    if (earlier)
      element.append(
        h("p", { class: "hint" }, "The file that you chose last time is used unless you name another one."),
      );
    element.append(h("div", { class: "or" }, h("span", {}, "or"), file));
    const chosen = async () => {
      if (file.files?.[0]) return keep(file.files[0], name);
      if (input.value.trim()) return input.value.trim();
      if (earlier) return earlier;
      input.setAttribute("aria-invalid", "true");
      throw new ConfigError(`${label}: give an address, or choose a file.`);
    };
    return { input, element, chosen };
  };

  const mainNode = line(
    "mainNode",
    "Main node",
    "Its JSON-RPC over https. It is asked for blocks, and believed in nothing.",
    "https://rpc.example.org",
  );
  const chain = part(
    "chain",
    "Chain specification",
    "chainspec.json, as cdk-erigon has it: chain id and forks. You choose to believe it.",
    "https://…/chainspec.json",
  );
  const genesis = part(
    "genesis",
    "Genesis",
    "genesis-allocs.json: the accounts that the chain begins with. You choose to believe it.",
    "https://…/genesis-allocs.json",
  );
  const light = line(
    "checkpoint",
    "Checkpoint, in place of genesis",
    "Light mode: number, hash and state root of a block that you choose to believe. Answers come with proofs from the main node, which has to serve them, and learns what you look at.",
    "31,0x…,0x…",
  );
  const snapshot = line(
    "snapshot",
    "Snapshot of the checkpoint",
    "Not needed: the whole state after the checkpoint, over https. With it nothing has to be proved by the main node, and nobody learns what you look at. Whoever made it is not believed.",
    "https://…/snapshot",
  );
  const stream = line(
    "stream",
    "Recording",
    "Not needed: a data-stream.bin over https, for catching up faster, or for a chain whose main node is gone.",
    "https://…/data-stream.bin",
  );
  const l1 = line(
    "l1",
    "L1 node",
    "Not needed: JSON-RPC of an L1 node that you choose to believe. What is proved there is compared with what is verified here, and final.",
    "https://ethereum-rpc.example.org",
  );
  const place = line(
    "rollup",
    "The rollup on L1",
    "With an L1 node: the address of the rollup manager’s contract there, and the rollup’s number.",
    "0x…,1",
  );
  const form = h(
    "form",
    { class: "setup", novalidate: true },
    mainNode.element,
    chain.element,
    genesis.element,
    light.element,
    snapshot.element,
    stream.element,
    l1.element,
    place.element,
    wrong,
    h("button", { type: "submit", class: "primary" }, "Verify this chain"),
  );

  form.addEventListener("submit", async (event: SubmitEvent) => {
    event.preventDefault();
    for (const { input } of [mainNode, chain, genesis, light, snapshot, stream, l1, place]) input.removeAttribute("aria-invalid");
    try {
      const values: Record<string, string> = {};
      for (const { input } of [mainNode, snapshot, stream, l1]) {
        const address = input.value.trim();
        if (address && !(URL.canParse(address) && /^https?:/.test(address))) {
          input.setAttribute("aria-invalid", "true");
          throw new ConfigError("This address has to begin with https:// or http://.");
        }
        if (address) values[input.name] = address;
      }
      if (!values.mainNode && !values.stream) {
        mainNode.input.setAttribute("aria-invalid", "true");
        throw new ConfigError("Name a main node, or a recording of one.");
      }
      values.chain = await chain.chosen();
      if (light.input.value.trim()) {
        light.input.setAttribute("aria-invalid", "true");
        if (genesis.input.value.trim()) throw new ConfigError("Name genesis or a checkpoint, not both.");
        const { number, hash, stateRoot } = checkpoint(light.input.value.trim());
        values.checkpoint = [number, hash, stateRoot].join(",");
        light.input.removeAttribute("aria-invalid");
      } else values.genesis = await genesis.chosen();
      if (values.l1) {
        place.input.setAttribute("aria-invalid", "true");
        const { rollupManager, rollupId } = rollup(place.input.value.trim());
        values.rollup = [rollupManager, rollupId].join(",");
        place.input.removeAttribute("aria-invalid");
      }
      const query = new URLSearchParams(values);
      confirm(fromQuery(query));
      rememberUsed(values);
      const target = new URL(location.pathname, location.origin);
      target.search = query.toString();
      location.assign(target);
    } catch (error) {
      say(wrong, reason(error));
      form.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    }
  });

  const element = h(
    "article",
    { class: "setup-view" },
    h(
      "header",
      { class: "view-head" },
      h("p", { class: "eyebrow" }, "Set up"),
      h("h1", { tabindex: "-1" }, "Which chain do you want to check?"),
      h(
        "p",
        { class: "lead" },
        "This page executes every block of a Polygon zkEVM or CDK chain again, on this device, and shows only what came out equal. It needs to know where the blocks come from and how the chain begins.",
      ),
    ),
    problem ? notice("word", "This set-up cannot be used.", problem) : "",
    form,
    h(
      "p",
      { class: "hint" },
      "To see it work without a chain of your own: ",
      h("code", {}, "make demo"),
      " runs one on your machine, and prints the address of this page, ready to use.",
    ),
  );
  return { title: "Set up", element };
}
