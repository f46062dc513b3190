/**
 * Keys of other programs' configs: so that a key that is right elsewhere is named as such, with ours where there is one.
 * Names from transformers 5.18 `TrainingArguments`, TRL 1.13 `SFTConfig`, `ModelConfig` and `ScriptArguments`, PEFT 0.21 `LoraConfig`.
 */

const words = (text: string): string[] => text.trim().split(/\s+/);

const unread: readonly (readonly [source: string, keys: string[]])[] = [
  [
    "HF TrainingArguments",
    words(`
      optim_args optim_target_modules average_tokens_across_devices label_smoothing_factor bf16 fp16 bf16_full_eval
      fp16_full_eval tf32 gradient_checkpointing_kwargs torch_compile torch_compile_backend torch_compile_mode
      use_liger_kernel liger_kernel_config use_cache neftune_noise_alpha torch_empty_cache_steps auto_find_batch_size
      logging_strategy logging_first_step log_on_each_node logging_nan_inf_filter include_num_input_tokens_seen
      log_level log_level_replica disable_tqdm report_to run_name project trackio_space_id trackio_bucket_id
      trackio_static_space_id eval_delay prediction_loss_only eval_do_concat_batches
      eval_use_gather_object eval_accumulation_steps include_for_metrics batch_eval_metrics save_only_model
      save_on_each_node enable_jit_checkpoint push_to_hub hub_token hub_private_repo hub_model_id hub_strategy
      hub_always_push hub_revision load_best_model_at_end metric_for_best_model greater_is_better ignore_data_skip
      restore_callback_states_from_checkpoint full_determinism data_seed use_cpu accelerator_config
      parallelism_config dataloader_drop_last dataloader_num_workers dataloader_pin_memory
      dataloader_persistent_workers dataloader_prefetch_factor dataloader_multiprocessing_context
      dataloader_in_order remove_unused_columns label_names length_column_name
      ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout
      fsdp fsdp_config deepspeed debug skip_memory_metrics do_train do_eval do_predict resume_from_checkpoint
      local_rank overwrite_output_dir lr_scheduler_args`),
  ],
  [
    "TRL",
    words(`
      model_init_kwargs trust_remote_code router_aux_loss_coef dataset_text_field dataset_kwargs dataset_num_proc
      eos_token shuffle_dataset packing_strategy padding_free pad_to_multiple_of eval_packing completion_only_loss
      assistant_only_loss loss_type activation_offloading pad_token model_revision
      attn_implementation lora_target_parameters lora_task_type use_dora load_in_8bit bnb_4bit_quant_storage
      dataset_config dataset_train_split dataset_test_split dataset_streaming ignore_bias_buffers`),
  ],
  [
    "PEFT LoraConfig",
    words(`
      task_type peft_type inference_mode exclude_modules fan_in_fan_out bias init_lora_weights layers_to_transform
      layers_pattern rank_pattern alpha_pattern trainable_token_indices loftq_config layer_replication
      target_parameters ensure_weight_tying`),
  ],
];

const sources = new Map(unread.flatMap(([source, keys]) => keys.map((key) => [key, source] as const)));

/** What a key of another program is called here. */
const renamed = new Map<string, string>([
  // older HF and TRL
  ["evaluation_strategy", "eval_strategy"],
  ["max_seq_length", "max_length"],
  ["truncation_mode", "truncation"],
  ["torch_dtype", "dtype"],
  ["train_sampling_strategy", "group_by_length"],
  ["per_gpu_train_batch_size", "per_device_train_batch_size"],
  ["dataset_name", "dataset"],
  ["model_name", "model_name_or_path"],
  ["tokenizer_name", "tokenizer_name_or_path"],
  ["chat_template", "chat_template_path"],
  ["use_cpu", "device"],
  ["no_cuda", "device"],
  // PEFT
  ["r", "lora_r"],
  ["alpha", "lora_alpha"],
  ["target_modules", "lora_target_modules"],
  ["modules_to_save", "lora_modules_to_save"],
  ["base_model_name_or_path", "model_name_or_path"],
  // LLaMA-Factory
  ["cutoff_len", "max_length"],
  ["lora_rank", "lora_r"],
  ["lora_target", "lora_target_modules"],
  ["additional_target", "lora_modules_to_save"],
  ["template", "chat_template_path"],
  ["finetuning_type", "use_peft"],
  ["quantization_bit", "load_in_4bit"],
  ["embedding_lr", "embedding_learning_rate"],
  ["double_quantization", "use_bnb_nested_quant"],
  ["max_samples", "dataset"],
  // Axolotl
  ["base_model", "model_name_or_path"],
  ["tokenizer", "tokenizer_name_or_path"],
  ["datasets", "dataset"],
  ["test_datasets", "eval_dataset"],
  ["sequence_len", "max_length"],
  ["micro_batch_size", "per_device_train_batch_size"],
  ["num_epochs", "num_train_epochs"],
  ["optimizer", "optim"],
  ["lr_scheduler", "lr_scheduler_type"],
  ["gradient_clipping", "max_grad_norm"],
  ["sample_packing", "packing"],
  ["adapter", "use_peft"],
  ["chat_template_jinja", "chat_template_path"],
]);

/** The program that reads this key, if it is one we know and do not read ourselves. */
export function foreignSource(key: string): string | null {
  return sources.get(key) ?? null;
}

/** Our key for another program's. */
export function ourName(key: string): string | null {
  return renamed.get(key) ?? null;
}
