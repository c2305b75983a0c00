package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Every parameter that protein_lm's models and vocabularies take: read elsewhere, without effect on
 * what a trained model computes, or refused by name.
 *
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/protein_lm/models.py">models.py</a>
 */
final class ProteinLmParameters {
  /** Of {@code FlaxModel}, and so of both models; the last lines are those of its Transformer. */
  private static final Set<String> MODEL =
      names(
          "domain model_cls attention_fn with_bos with_mask",
          // Training and its speed:
          "random_seed batch_size grad_clip learning_rate weight_decay cache pmap store_metrics",
          "sampling_kwargs",
          // The Transformer:
          "emb_dim num_heads num_layers qkv_dim mlp_dim max_len dropout_rate",
          "attention_dropout_rate causal positional_encoding_module self_attention_module",
          "output_head");

  private static final Set<String> BERT =
      names("mask_rate mask_token_proportion random_token_proportion");

  private static final Set<String> DOMAIN =
      names(
          "include_anomalous_amino_acids include_bos include_eos include_pad include_mask length");

  /** Values that may be given but change nothing. */
  private static final Map<String, Set<String>> ONLY =
      Map.of(
          "domain", Set.of("protein_domain", "make_protein_domain"),
          "model_cls", Set.of("Transformer"),
          "self_attention_module", Set.of("SelfAttention", "MultiHeadDotProductAttention"));

  private static final Map<String, Object> VOCABULARY =
      Map.of("bos_token", "<", "eos_token", ">", "pad_token", "_", "mask_token", "*");

  /** Parts of the network, which no configuration of Google's names. */
  private static final Set<String> NETWORK =
      names(
          "Transformer Transformer1DBlock MlpBlock Embed LayerNorm Dense SelfAttention",
          "MultiHeadDotProductAttention AddLearnedPositionalEncodings",
          "AddSinusoidalPositionalEncodings");

  private ProteinLmParameters() {}

  /** Names with spaces between them, in their order. */
  private static Set<String> names(String... lines) {
    return new LinkedHashSet<>(List.of(String.join(" ", lines).split(" ")));
  }

  /**
   * Fails for what a model does not take or what would be another model.
   *
   * @param model FlaxLM or FlaxBERT
   */
  static void check(GinConfig gin, String model) {
    Set<String> own = new TreeSet<>(MODEL);
    if (model.equals("FlaxBERT")) {
      own.addAll(BERT);
    }
    known(gin, model, own);
    known(gin, "FlaxModel", new TreeSet<>(MODEL));
    known(gin, "make_protein_domain", new TreeSet<>(DOMAIN));
    for (String configurable : List.of("FlaxModel", model)) {
      ONLY.forEach((key, names) -> only(gin, configurable, key, names));
    }
    if (gin.value("", "ProteinVocab", "include_align_tokens").equals(java.util.Optional.of(true))) {
      throw new PerformerException(
          gin.file()
              + ": ProteinVocab.include_align_tokens is True; vocabularies with tokens of alignments"
              + " are not known here");
    }
    VOCABULARY.forEach(
        (key, expected) ->
            gin.value("", "Vocabulary", key)
                .filter(value -> value != GinConfig.NONE && !value.equals(expected))
                .ifPresent(
                    value -> {
                      throw new PerformerException(
                          "%s: Vocabulary.%s is '%s'; expected '%s'"
                              .formatted(gin.file(), key, value, expected));
                    }));
    for (String part : NETWORK) {
      for (String parameter : gin.parameters("", part)) {
        throw new PerformerException(
            "%s: %s.%s changes the network; only what %s takes can be imported: %s"
                .formatted(gin.file(), part, parameter, model, own));
      }
    }
  }

  private static void known(GinConfig gin, String configurable, Set<String> known) {
    for (String parameter : gin.parameters("", configurable)) {
      if (!known.contains(parameter)) {
        throw new PerformerException(
            "%s: %s has no parameter %s that is known here; known are %s"
                .formatted(gin.file(), configurable, parameter, known));
      }
    }
  }

  private static void only(GinConfig gin, String configurable, String key, Set<String> names) {
    gin.value("", configurable, key)
        .filter(v -> !(v instanceof GinConfig.Reference r && names.contains(r.name())))
        .ifPresent(
            value -> {
              throw new PerformerException(
                  "%s: %s.%s is %s; expected one of %s, or nothing"
                      .formatted(
                          gin.file(),
                          configurable,
                          key,
                          value,
                          names.stream().sorted().map(name -> "@" + name).toList()));
            });
  }
}
