package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.model.PerformerConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** One producer's names for the weights of a Transformer. */
public interface NamingScheme {
  /** All by their names in messages and files, the most particular first. */
  private static Map<String, NamingScheme> all() {
    Map<String, NamingScheme> all = new LinkedHashMap<>();
    all.put("protein_lm", new ProteinLmNaming());
    all.put("long-range-arena", new LraNaming());
    all.put("Model Garden encoder", new ModelGardenNaming());
    all.put("Keras layers", new KerasPerformerNaming());
    all.put("KerasHub", new KerasHubNaming());
    all.put("Hugging Face BERT", new HuggingFaceBertNaming());
    all.put("Hugging Face RoBERTa", new HuggingFaceRobertaNaming());
    all.put("Hugging Face ESM", new HuggingFaceEsmNaming());
    all.put("Hugging Face DistilBERT", new HuggingFaceDistilBertNaming());
    all.put("Hugging Face GPT-2", new HuggingFaceGpt2Naming());
    all.put("performer-pytorch", new PerformerPytorchNaming());
    all.put("Google Research attention layer", new AttentionLayerNaming());
    return all;
  }

  /** Whether the names in a file are this scheme's. */
  boolean recognizes(WeightFile file);

  /** The file as one of our models; all that is missing, superfluous or mis-shaped is one error. */
  ModelWeights map(WeightMap map);

  /** What the schemes are called. */
  static Set<String> labels() {
    return all().keySet();
  }

  /** The label of the first scheme whose names a file has. */
  static Optional<String> of(WeightFile file) {
    Map<String, NamingScheme> all = all();
    return all.keySet().stream().filter(label -> all.get(label).recognizes(file)).findFirst();
  }

  /** By the mapping file that is given, else the scheme that is, else the first that recognizes. */
  static ModelWeights map(WeightFile file, ImportOptions options) {
    if (options.mapping() != null) {
      return new MappedNaming().map(new WeightMap(file, "mapping file", options));
    }
    String given = options.scheme();
    String wrong = "no naming scheme '%s'; known are %s";
    require(given == null || labels().contains(given), wrong, given, labels());
    String label = given != null ? given : of(file).orElseThrow(() -> unknown(file));
    return all().get(label).map(new WeightMap(file, label, options));
  }

  /** What the model's own library calls its kind, such as {@code camembert}, where it tells. */
  static Optional<String> kind(WeightFile file) {
    return HuggingFace.type(file).or(() -> KerasHubNaming.kind(file));
  }

  /** The model that a file would be, as far as it tells itself. */
  static Optional<PerformerConfig> config(WeightFile file) {
    try {
      return of(file)
          .map(
              label -> {
                WeightMap map = new WeightMap(file, label, ImportOptions.NONE);
                map.readsValues = false;
                return all().get(label).map(map).config();
              });
    } catch (PerformerException e) {
      return Optional.empty(); // what is missing, import reports
    }
  }

  /** Which model of a known library is not read, as its configuration names it; else empty. */
  static Optional<String> unread(WeightFile file) {
    return HuggingFace.unread(file).or(() -> KerasHubNaming.unread(file));
  }

  private static PerformerException unknown(WeightFile file) {
    Optional<String> unread = unread(file);
    if (unread.isPresent()) {
      return new PerformerException(file.path() + ": " + unread.get());
    }
    List<String> first = file.tensors().keySet().stream().limit(3).map(Excerpt::of).toList();
    return new PerformerException(
            "%s: its names are of no model that is known here %s; they begin with %s; name every variable in a mapping file"
                .formatted(file.path(), labels(), first))
        .settledBy("mapping");
  }

  /** Nothing tells how a checkpoint attends. All else is in order: whoever knows can read again. */
  final class UnknownAttentionException extends PerformerException {
    UnknownAttentionException(Path file, String lacks, String... settings) {
      super(file + ": " + lacks);
      settledBy(settings);
    }
  }
}
