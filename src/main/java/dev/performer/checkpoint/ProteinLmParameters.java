package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.checkpoint.GinConfig.Reference;
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
  /** Of {@code FlaxModel}, and so of both models: its own, those of training, the Transformer's. */
  private static final Set<String> MODEL =
      names(
          """
          domain model_cls attention_fn with_bos with_mask
          random_seed batch_size grad_clip learning_rate weight_decay cache pmap store_metrics
          sampling_kwargs
          emb_dim num_heads num_layers qkv_dim mlp_dim max_len dropout_rate
          attention_dropout_rate causal positional_encoding_module self_attention_module
          output_head
          """);

  private static final Set<String> BERT =
      names("mask_rate mask_token_proportion random_token_proportion");

  private static final Set<String> DOMAIN =
      names(
          """
          include_anomalous_amino_acids include_bos include_eos include_pad include_mask length
          """);

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
          """
          Transformer Transformer1DBlock MlpBlock Embed LayerNorm Dense SelfAttention
          MultiHeadDotProductAttention AddLearnedPositionalEncodings
          AddSinusoidalPositionalEncodings
          """);

  private ProteinLmParameters() {}

  private static Set<String> names(String text) {
    return new TreeSet<>(List.of(text.strip().split("\\s+")));
  }

  /** Fails for what a FlaxLM or FlaxBERT does not take or what would be another model. */
  static void check(GinParameters model) {
    GinConfig gin = model.gin();
    Set<String> own = new TreeSet<>(MODEL);
    if (model.name().equals("FlaxBERT")) {
      own.addAll(BERT);
    }
    GinParameters base = gin.of("FlaxModel");
    base.requireOnly(MODEL);
    ONLY.forEach((key, names) -> requireReference(base, key, names));
    model.requireOnly(own);
    ONLY.forEach((key, names) -> requireReference(model, key, names));
    gin.of("make_protein_domain").requireOnly(DOMAIN);
    boolean isAligned = gin.of("ProteinVocab").value("include_align_tokens", false).equals(true);
    String aligned = "%s: tokens of alignments (ProteinVocab.include_align_tokens) are not known";
    require(!isAligned, aligned, gin.file());
    VOCABULARY.forEach(
        (key, expected) -> {
          Object value = gin.of("Vocabulary").value(key, GinConfig.NONE);
          boolean fits = value == GinConfig.NONE || value.equals(expected);
          String wrong = "%s: Vocabulary.%s is '%s'; expected '%s'";
          require(fits, wrong, gin.file(), key, value, expected);
        });
    for (String part : NETWORK) {
      for (String key : gin.parameters("", part)) {
        throw new PerformerException(
            "%s: %s.%s changes the network; only what %s takes can be imported: %s"
                .formatted(gin.file(), part, key, model.name(), own));
      }
    }
  }

  private static void requireReference(GinParameters of, String key, Set<String> names) {
    Object value = of.value(key).orElse(null);
    if (value != null && !(value instanceof Reference r && names.contains(r.name()))) {
      List<String> all = names.stream().sorted().map(name -> "@" + name).toList();
      throw of.wrong(key, value, "one of " + all + ", or nothing");
    }
  }
}
