package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Vocabulary;
import dev.performer.model.Task;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a gin configuration has of a protein_lm model: parameters of {@code FlaxLM} or {@code
 * FlaxBERT}, or of {@code FlaxModel}, from which both inherit.
 */
final class ProteinLmGin {
  private final GinConfig gin;
  private final Task task;
  private final GinParameters model;
  private final GinParameters domain;
  private final List<String> conflicts = new ArrayList<>();

  /** For the task that is given, or null. */
  ProteinLmGin(GinConfig gin, Task given) {
    this.gin = gin;
    this.task = given != null ? given : task(gin);
    String name = this.task == Task.CAUSAL_LM ? "FlaxLM" : "FlaxBERT";
    this.model = new GinParameters(gin, "", name, "FlaxModel");
    this.domain = gin.of("make_protein_domain");
    ProteinLmParameters.check(model);
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

  Task task() {
    return task;
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
    check("emb_dim", map.size("embeddings/token", 2, 1), "embed/embedding");
    check("num_heads", heads, query);
    check("qkv_dim", heads * size, query);
    check("num_layers", map.layers(), "the number of Transformer1DBlock");
    check("mlp_dim", map.size("layer_0/mlp/in/kernel", 2, 1), "MlpBlock_3/Dense_0/kernel");
    boolean hasTable = map.has("embeddings/position");
    if (hasTable) {
      long length = map.size("embeddings/position", 2, 0);
      Object given = domain.value("length", length);
      check("make_protein_domain.length", given, length, "pos_embedding");
      check("max_len", length, "pos_embedding");
    }
    checkPositions(hasTable);
    String wrong = "%s disagrees with the weights: %s; is it the configuration of this checkpoint?";
    require(conflicts.isEmpty(), wrong, gin.file(), String.join("; ", conflicts));
  }

  private void check(String key, long found, String tensor) {
    check(model.name() + "." + key, model.value(key, found), found, tensor);
  }

  private void check(String parameter, Object given, long found, String tensor) {
    if (given != GinConfig.NONE && !given.equals(found)) {
      conflicts.add("%s is %s, but %s has %s".formatted(parameter, given, tensor, found));
    }
  }

  private void checkPositions(boolean hasTable) {
    String key = "positional_encoding_module";
    Object value = model.value(key).orElse(null);
    if (value == null) {
      return;
    }
    String kind = value instanceof GinConfig.Reference module ? module.name() : "";
    boolean isLearned = kind.equals("AddLearnedPositionalEncodings");
    if (!isLearned && !kind.equals("AddSinusoidalPositionalEncodings")) {
      throw model.wrong(
          key, value, "@AddLearnedPositionalEncodings or @AddSinusoidalPositionalEncodings");
    }
    if (isLearned != hasTable) {
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
      throw model.wrong(
          "mask_rate", rate, "a share above 0: without masks there is nothing to guess");
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
    String letters =
        "ACDEFGHIKLMNPQRSTVWY"
            + (included("anomalous_amino_acids") ? "BOUXZ" : "")
            + (included("bos") ? "<" : "")
            + (included("eos") ? ">" : "")
            + (included("pad") ? "_" : "")
            + (included("mask") ? "*" : "");
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
