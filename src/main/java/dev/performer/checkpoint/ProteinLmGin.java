package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;
import static dev.performer.checkpoint.GinConfig.words;

import dev.performer.PerformerException;
import dev.performer.checkpoint.GinConfig.Parameters;
import dev.performer.checkpoint.GinConfig.Reference;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Vocabulary;
import dev.performer.model.Task;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a gin configuration has of a protein_lm model: parameters of {@code FlaxLM} or {@code
 * FlaxBERT}, or of {@code FlaxModel}, from which both inherit. Each is read here, without effect on
 * what a trained model computes, or refused by name.
 *
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/protein_lm/models.py">models.py</a>
 */
final class ProteinLmGin {
  /** Of {@code FlaxModel}, and so of both models: its own, those of training, the Transformer's. */
  private static final Set<String> MODEL =
      words(
          """
          domain model_cls attention_fn with_bos with_mask random_seed batch_size grad_clip
          learning_rate weight_decay cache pmap store_metrics sampling_kwargs emb_dim num_heads
          num_layers qkv_dim mlp_dim max_len dropout_rate attention_dropout_rate causal
          positional_encoding_module self_attention_module output_head
          """);

  private static final Set<String> BERT =
      words("mask_rate mask_token_proportion random_token_proportion");
  private static final Set<String> DOMAIN =
      words(
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
      words(
          """
          Transformer Transformer1DBlock MlpBlock Embed LayerNorm Dense SelfAttention
          MultiHeadDotProductAttention AddLearnedPositionalEncodings
          AddSinusoidalPositionalEncodings
          """);

  private final GinConfig gin;
  final Task task;
  private final Parameters model;
  private final Parameters domain;
  private final List<String> conflicts = new ArrayList<>();

  /** For the task that is given, or null. */
  ProteinLmGin(GinConfig gin, Task given) {
    this.gin = gin;
    this.task = given != null ? given : task(gin);
    String name = task == Task.CAUSAL_LM ? "FlaxLM" : "FlaxBERT";
    this.model = new Parameters(gin, "", name, "FlaxModel");
    this.domain = gin.of("make_protein_domain");
    requireKnown();
  }

  private static Task task(GinConfig gin) {
    boolean isLm = gin.names("FlaxLM");
    boolean isBert = gin.names("FlaxBERT");
    if (isLm == isBert) {
      isLm = gin.isReferenced("FlaxLM");
      isBert = gin.isReferenced("FlaxBERT");
    }
    if (isLm == isBert) {
      throw new PerformerException(
              "%s does not say whether the model is a FlaxLM or a FlaxBERT; give its task, causal-lm or masked-lm"
                  .formatted(gin.file()))
          .settledBy("task");
    }
    return isLm ? Task.CAUSAL_LM : Task.MASKED_LM;
  }

  /** Fails for what a FlaxLM or FlaxBERT does not take or what would be another model. */
  private void requireKnown() {
    Set<String> own = new TreeSet<>(MODEL);
    own.addAll(task == Task.MASKED_LM ? BERT : Set.of());
    requireKnown(gin.of("FlaxModel"), MODEL);
    requireKnown(model, own);
    domain.requireOnly(DOMAIN);
    boolean isAligned = gin.of("ProteinVocab").value("include_align_tokens", false).equals(true);
    String aligned = "%s: tokens of alignments (ProteinVocab.include_align_tokens) are not known";
    require(!isAligned, aligned, gin.file());
    VOCABULARY.forEach(
        (key, expected) -> {
          Object value = gin.of("Vocabulary").value(key, expected);
          String wrong = "%s: Vocabulary.%s is '%s'; expected '%s'";
          boolean fits = value == GinConfig.NONE || value.equals(expected);
          require(fits, wrong, gin.file(), key, value, expected);
        });
    for (String part : NETWORK) {
      for (String key : gin.of(part).bound()) {
        throw new PerformerException(
            "%s: %s.%s changes the network; only what %s takes can be imported: %s"
                .formatted(gin.file(), part, key, model.name(), own));
      }
    }
  }

  private static void requireKnown(Parameters parameters, Set<String> known) {
    parameters.requireOnly(known);
    ONLY.forEach(
        (key, names) -> {
          Object value = parameters.value(key).orElse(null);
          if (value != null && !(value instanceof Reference r && names.contains(r.name()))) {
            List<String> all = names.stream().sorted().map(name -> "@" + name).toList();
            throw parameters.wrong(key, value, "one of " + all + ", or nothing");
          }
        });
  }

  /** The function that the layers attend with. */
  Object attention() {
    return model.value("attention_fn", GinConfig.NONE);
  }

  /** Fails where the weights' shapes are not those of the configuration, with all that differs. */
  void requireShapesOf(WeightMap map) {
    long heads = map.size("layer_0/attention/query/kernel", 3, 1);
    long size = map.size("layer_0/attention/query/kernel", 3, 2);
    String query = "the kernel of queries";
    check(model, "emb_dim", map.size("embeddings/token", 2, 1), "embed/embedding");
    check(model, "num_heads", heads, query);
    check(model, "qkv_dim", heads * size, query);
    check(model, "num_layers", map.layers(), "the number of Transformer1DBlock");
    check(model, "mlp_dim", map.size("layer_0/mlp/in/kernel", 2, 1), "MlpBlock_3/Dense_0/kernel");
    boolean hasTable = map.has("embeddings/position");
    if (hasTable) {
      long length = map.size("embeddings/position", 2, 0);
      check(domain, "length", length, "pos_embedding");
      check(model, "max_len", length, "pos_embedding");
    }
    checkPositions(hasTable);
    String wrong = "%s disagrees with the weights: %s; is it the configuration of this checkpoint?";
    require(conflicts.isEmpty(), wrong, gin.file(), String.join("; ", conflicts));
  }

  private void check(Parameters parameters, String key, long found, String tensor) {
    Object given = parameters.value(key, found);
    if (given != GinConfig.NONE && !given.equals(found)) {
      String wrong = "%s.%s is %s, but %s has %s";
      conflicts.add(wrong.formatted(parameters.name(), key, given, tensor, found));
    }
  }

  private void checkPositions(boolean hasTable) {
    String key = "positional_encoding_module";
    String learned = "AddLearnedPositionalEncodings";
    String sinusoidal = "AddSinusoidalPositionalEncodings";
    Object value = model.value(key, new Reference("", hasTable ? learned : sinusoidal, false));
    String kind = value instanceof Reference module ? module.name() : "";
    if (!kind.equals(learned) && !kind.equals(sinusoidal)) {
      throw model.wrong(key, value, "@%s or @%s".formatted(learned, sinusoidal));
    } else if (kind.equals(learned) != hasTable) {
      String there = "there is " + (hasTable ? "a" : "no") + " pos_embedding";
      conflicts.add("%s.%s is %s, but %s".formatted(model.name(), key, value, there));
    }
  }

  /** Whether exact attention sees no later tokens. */
  boolean causal() {
    return model.bool("causal", task == Task.CAUSAL_LM);
  }

  /** A rate of dropout; Google's default is 0.1. */
  double rate(String key) {
    return model.number(key, 0.1, x -> x >= 0 && x < 1, "a rate from 0 to below 1");
  }

  /** Which tokens a FlaxBERT was trained to guess; empty for a FlaxLM. */
  Optional<Masking> masking() {
    if (task == Task.CAUSAL_LM) {
      return Optional.empty();
    }
    double rate = share("mask_rate", Masking.PROTEIN_LM.rate());
    double mask = share("mask_token_proportion", Masking.PROTEIN_LM.mask());
    double random = share("random_token_proportion", Masking.PROTEIN_LM.random());
    if (rate == 0) {
      throw model.wrong("mask_rate", rate, "a share above 0, as without masks nothing is guessed");
    }
    String wrong = "%s: mask_token_proportion %s and random_token_proportion %s together exceed 1";
    require(mask + random <= 1 + 1e-9, wrong, gin.file(), mask, random);
    return Optional.of(new Masking(rate, mask, random));
  }

  private double share(String key, double absent) {
    return model.number(key, absent, x -> x >= 0 && x <= 1, "a share from 0 to 1");
  }

  /** The longest sequence, where no table tells. */
  long length() {
    return domain.value("length", 1024L) instanceof Long n ? n : 1024;
  }

  /** The tokens of the domain, with those that the model adds. */
  Vocabulary vocabulary() {
    boolean isLm = task == Task.CAUSAL_LM;
    String letters = "ACDEFGHIKLMNPQRSTVWY" + (included("anomalous_amino_acids") ? "BOUXZ" : "");
    letters += (included("bos") ? "<" : "") + (included("eos") ? ">" : "");
    letters += (included("pad") ? "_" : "") + (included("mask") ? "*" : "");
    if (!included("bos") && (isLm || model.value("with_bos", false).equals(true))) {
      letters += "<";
    }
    if (!included("mask") && (!isLm || model.value("with_mask", false).equals(true))) {
      letters += "*";
    }
    return Vocabulary.of(ProteinVocabulary.letters(letters), "_", "*", "<", ">", "X");
  }

  private boolean included(String what) {
    return !domain.value("include_" + what, true).equals(false);
  }

  /** Lines about what it has that the model here has not. */
  List<String> notes() {
    List<String> notes = new ArrayList<>();
    Object heads = model.value("output_head", "logits");
    List<?> others = new ArrayList<>(heads instanceof List<?> all ? all : List.of(heads));
    if (!others.remove("logits")) {
      throw model.wrong("output_head", heads, "'logits', or a list with 'logits' in it");
    }
    if (!others.isEmpty()) {
      notes.add("output_head: besides logits, " + others + " are no output of this model");
    }
    List<String> training = new ArrayList<>(List.of("learning_rate", "weight_decay", "grad_clip"));
    training.removeIf(key -> model.value(key).isEmpty());
    training.replaceAll(key -> key + " " + model.value(key).orElseThrow());
    if (!training.isEmpty()) {
      notes.add("trained with " + String.join(", ", training));
    }
    gin.skipped().forEach(line -> notes.add("config.gin: '" + line + "' was not followed"));
    return notes;
  }
}
