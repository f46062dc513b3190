import type { Finding, FindingFix } from "../text/span";
import { datasetEntries } from "./dataset-entries";
import { entryAt, nodeAt, spanOf } from "./key-path";
import type { PartialConfig } from "./schema";
import { wholeLines, type YamlMapping } from "./yaml-tree";

/** Keys that are right one by one and wrong together. */
export function optionFindings(text: string, root: YamlMapping, config: PartialConfig): Finding[] {
  return new OptionChecks(text, root, config).run();
}

class OptionChecks {
  readonly #findings: Finding[] = [];

  constructor(
    readonly text: string,
    readonly root: YamlMapping,
    readonly config: PartialConfig,
  ) {}

  run(): Finding[] {
    this.#model();
    this.#architecture();
    this.#duration();
    this.#warmup();
    this.#schedule();
    this.#lora();
    this.#quantization();
    this.#evaluation();
    this.#checkpoints();
    this.#conversation();
    return this.#findings;
  }

  #has(key: string): boolean {
    const node = nodeAt(this.root, [key]);
    return node !== null && !(node.kind === "scalar" && node.value === null);
  }

  #incompatible(key: string, message: string, path: readonly string[] = [key]): void {
    this.#findings.push({
      rule: "incompatible-options",
      span: spanOf(this.root, path, "key"),
      message,
      fixes: this.#removal(path),
    });
  }

  #removal(path: readonly string[]): FindingFix[] {
    const entry = entryAt(this.root, path);
    return entry
      ? [
          {
            title: `Remove \`${path.at(-1)}\``,
            edits: [{ span: wholeLines(this.text, entry.span), newText: "" }],
          },
        ]
      : [];
  }

  #missing(at: string, message: string): void {
    this.#findings.push({ rule: "missing-key", span: spanOf(this.root, [at], "key"), message });
  }

  #model(): void {
    if (this.#has("model") && this.#has("model_name_or_path")) {
      this.#incompatible(
        "model",
        "`model` (random weights) and `model_name_or_path` (weights from disk) exclude each other. Remove one.",
      );
    }
    if (!this.#has("model") && !this.#has("model_name_or_path")) {
      this.#missing(
        "stage",
        "This config needs `model_name_or_path`, or `model` for random weights of an architecture.",
      );
    }
    if (this.#has("model") && !this.#has("model_name_or_path") && !this.#has("tokenizer_name_or_path")) {
      this.#missing(
        "model",
        "`model` has no tokenizer of its own: this config needs `tokenizer_name_or_path`.",
      );
    }
  }

  #architecture(): void {
    const { model } = this.config;
    if (!model) return;
    const kvHeads = model.num_key_value_heads ?? model.num_attention_heads;
    if (model.hidden_size % model.num_attention_heads !== 0) {
      this.#findings.push({
        rule: "incompatible-options",
        span: spanOf(this.root, ["model", "num_attention_heads"], "value"),
        message: `\`num_attention_heads\` must divide \`hidden_size\`: ${model.hidden_size} / ${model.num_attention_heads} is not whole.`,
      });
    } else if ((model.hidden_size / model.num_attention_heads) % 2 !== 0) {
      this.#findings.push({
        rule: "incompatible-options",
        span: spanOf(this.root, ["model", "num_attention_heads"], "value"),
        message: `A head has ${model.hidden_size / model.num_attention_heads} dimensions; rotary embeddings need an even number.`,
      });
    }
    if (model.num_attention_heads % kvHeads !== 0) {
      this.#findings.push({
        rule: "incompatible-options",
        span: spanOf(this.root, ["model", "num_key_value_heads"], "value"),
        message: `\`num_key_value_heads\` must divide \`num_attention_heads\`: ${model.num_attention_heads} / ${kvHeads} is not whole.`,
      });
    }
    if (this.config.max_length > model.max_position_embeddings) {
      this.#findings.push({
        rule: "incompatible-options",
        span: spanOf(
          this.root,
          this.#has("max_length") ? ["max_length"] : ["model", "max_position_embeddings"],
          "value",
        ),
        message: `\`max_length\` (${this.config.max_length}) is more than the model's \`max_position_embeddings\` (${model.max_position_embeddings}).`,
      });
    }
  }

  #duration(): void {
    if (this.config.max_steps === 0) {
      this.#findings.push({
        rule: "value-out-of-range",
        span: spanOf(this.root, ["max_steps"], "value"),
        message:
          "`max_steps: 0` trains nothing. Give a number of steps, or `-1` to train for `num_train_epochs`.",
      });
    }
    if (this.config.max_steps > 0 && this.#has("num_train_epochs")) {
      this.#incompatible(
        "num_train_epochs",
        "`max_steps` decides how long is trained, so `num_train_epochs` is ignored. Remove one.",
      );
    }
  }

  #warmup(): void {
    const { warmup_steps, warmup_ratio, max_steps } = this.config;
    const steps = nodeAt(this.root, ["warmup_steps"]);
    if (steps && !Number.isInteger(warmup_steps)) {
      const entry = entryAt(this.root, ["warmup_steps"]);
      this.#findings.push({
        rule: "warmup-unit",
        span: steps.span,
        message: `\`warmup_steps\` counts optimizer steps; ${warmup_steps} is not a number of steps.${warmup_steps < 1 ? " A share of the run is `warmup_ratio`." : ""}`,
        fixes:
          entry && warmup_steps < 1 && !this.#has("warmup_ratio")
            ? [
                {
                  title: `Replace with \`warmup_ratio: ${warmup_steps}\``,
                  edits: [{ span: entry.keySpan, newText: "warmup_ratio" }],
                },
              ]
            : [],
      });
    }
    const ratio = nodeAt(this.root, ["warmup_ratio"]);
    if (ratio && warmup_ratio > 1) {
      const entry = entryAt(this.root, ["warmup_ratio"]);
      this.#findings.push({
        rule: "warmup-unit",
        span: ratio.span,
        message: `\`warmup_ratio\` is a share of the run between 0 and 1; ${warmup_ratio} looks like a number of steps, which is \`warmup_steps\`.`,
        fixes:
          entry && Number.isInteger(warmup_ratio) && !this.#has("warmup_steps")
            ? [
                {
                  title: `Replace with \`warmup_steps: ${warmup_ratio}\``,
                  edits: [{ span: entry.keySpan, newText: "warmup_steps" }],
                },
              ]
            : [],
      });
    }
    if (warmup_steps > 0 && warmup_ratio > 0) {
      this.#incompatible(
        "warmup_ratio",
        "`warmup_steps` decides how long the warm-up is, so `warmup_ratio` is ignored. Remove one.",
      );
    }
    if (max_steps > 0 && warmup_steps >= max_steps && this.config.lr_scheduler_type !== "constant") {
      this.#findings.push({
        rule: "warmup-zero-step",
        span: spanOf(this.root, ["warmup_steps"], "value"),
        message: `The warm-up of ${warmup_steps} steps does not end within the run's ${max_steps}: the learning rate never reaches its peak.`,
      });
    } else if (ratio && warmup_ratio === 1) {
      this.#findings.push({
        rule: "warmup-zero-step",
        span: ratio.span,
        message: "A warm-up over the whole run: the learning rate only reaches its peak at the last step.",
      });
    }
  }

  #schedule(): void {
    const { lr_scheduler_type: type, lr_scheduler_kwargs: kwargs } = this.config;
    if (type === "constant") {
      for (const key of ["warmup_steps", "warmup_ratio"] as const) {
        if (this.config[key] > 0) {
          this.#incompatible(
            key,
            `\`lr_scheduler_type: constant\` has no warm-up, so \`${key}\` is ignored; \`constant_with_warmup\` has one.`,
          );
        }
      }
    }
    const floor = kwargs?.min_lr_rate ?? kwargs?.min_lr;
    if (type === "cosine_with_min_lr" && floor === undefined) {
      this.#missing(
        "lr_scheduler_type",
        "`cosine_with_min_lr` needs its floor: `lr_scheduler_kwargs: { min_lr_rate: 0.1 }`.",
      );
    }
    if (type !== "cosine_with_min_lr" && floor !== undefined) {
      this.#incompatible(
        "lr_scheduler_kwargs",
        `\`${type}\` has no floor, so these are ignored; \`cosine_with_min_lr\` has one.`,
      );
    }
    if (kwargs?.min_lr_rate !== undefined && kwargs.min_lr !== undefined) {
      this.#incompatible(
        "min_lr",
        "`min_lr_rate` and `min_lr` say the same thing in two units. Remove one.",
        ["lr_scheduler_kwargs", "min_lr"],
      );
    }
    if (kwargs?.min_lr !== undefined && kwargs.min_lr > this.config.learning_rate) {
      this.#findings.push({
        rule: "value-out-of-range",
        span: spanOf(this.root, ["lr_scheduler_kwargs", "min_lr"], "value"),
        message: `The floor \`min_lr\` (${kwargs.min_lr}) lies above the peak \`learning_rate\` (${this.config.learning_rate}).`,
      });
    }
  }

  #lora(): void {
    if (this.config.use_peft) return;
    const keys = [
      "lora_r",
      "lora_alpha",
      "lora_dropout",
      "lora_target_modules",
      "lora_modules_to_save",
      "use_rslora",
    ];
    const first = keys.find((key) => this.#has(key));
    if (!first) return;
    const entry = entryAt(this.root, [first]);
    const fixes: FindingFix[] = [];
    const use = entryAt(this.root, ["use_peft"]);
    if (use) {
      fixes.push({ title: "Set `use_peft: true`", edits: [{ span: use.value.span, newText: "true" }] });
    } else if (entry && (entry.keySpan.start === 0 || this.text[entry.keySpan.start - 1] === "\n")) {
      const at = { start: entry.keySpan.start, end: entry.keySpan.start };
      fixes.push({ title: "Add `use_peft: true`", edits: [{ span: at, newText: "use_peft: true\n" }] });
    }
    this.#findings.push({
      rule: "incompatible-options",
      span: spanOf(this.root, [first], "key"),
      message: `Without \`use_peft: true\` every weight is trained and \`${first}\` is ignored.`,
      fixes,
    });
  }

  #quantization(): void {
    if (this.config.load_in_4bit) return;
    for (const key of ["bnb_4bit_quant_type", "use_bnb_nested_quant"]) {
      if (this.#has(key)) {
        this.#incompatible(
          key,
          `Without \`load_in_4bit: true\` nothing is quantised and \`${key}\` is ignored.`,
        );
      }
    }
  }

  #evaluation(): void {
    const { eval_strategy: strategy } = this.config;
    if (!this.#has("eval_dataset")) {
      if (strategy !== "no") {
        this.#missing(
          "eval_strategy",
          `\`eval_strategy: ${strategy}\` needs an \`eval_dataset\` to evaluate on.`,
        );
      }
    }
    if (this.#has("eval_steps") && strategy !== "steps") {
      this.#incompatible("eval_steps", `With \`eval_strategy: ${strategy}\`, \`eval_steps\` is ignored.`);
    }
  }

  #checkpoints(): void {
    const { save_strategy: strategy } = this.config;
    if (this.#has("save_steps") && strategy !== "steps") {
      this.#incompatible("save_steps", `With \`save_strategy: ${strategy}\`, \`save_steps\` is ignored.`);
    }
  }

  #conversation(): void {
    const { stage } = this.config;
    const wanted = stage === "pretrain" ? "text" : "conversations";
    for (const key of ["dataset", "eval_dataset"] as const) {
      for (const { path, entry } of datasetEntries(this.config, key)) {
        if (!entry.format || (entry.format === "text") === (stage === "pretrain")) continue;
        if (stage === undefined || stage === "vocabulary") continue;
        this.#findings.push({
          rule: "incompatible-options",
          span: spanOf(this.root, [...path, "format"], "value"),
          message: `\`stage: ${stage}\` trains on ${wanted}; \`format: ${entry.format}\` is not that.`,
        });
      }
    }
    if (this.config.stage === "pretrain" && this.#has("chat_template_path")) {
      this.#incompatible(
        "chat_template_path",
        "`stage: pretrain` trains on plain text: BOS, the text, EOS. The chat template is ignored.",
      );
    }
  }
}
