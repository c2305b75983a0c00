package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** One producer's names for the weights of a Transformer. */
public interface NamingScheme {
  /** All, the most particular first. */
  private static List<NamingScheme> all() {
    return List.of(
        new ProteinLmNaming(),
        new LraNaming(),
        new ModelGardenNaming(),
        new KerasPerformerNaming(),
        new HuggingFaceBertNaming(),
        new PerformerPytorchNaming(),
        new AttentionLayerNaming());
  }

  /** Its name in messages and files, such as {@code protein-lm}. */
  String label();

  /** Whether the names in a file are this scheme's. */
  boolean recognizes(WeightFile file);

  /**
   * The file as one of our models. All tensors that are missing, superfluous or of a wrong shape
   * are one error, and so is an option that the file leaves open.
   */
  ModelWeights map(WeightFile file, ImportOptions options);

  /** What the schemes are called. */
  static List<String> labels() {
    return all().stream().map(NamingScheme::label).toList();
  }

  /** The first scheme whose names a file has. */
  static Optional<NamingScheme> of(WeightFile file) {
    return all().stream().filter(scheme -> scheme.recognizes(file)).findFirst();
  }

  /** The mapping file that is given, else the scheme that is, else the first that recognizes. */
  static NamingScheme of(WeightFile file, ImportOptions options) {
    if (options.mapping() != null) {
      return new MappedNaming();
    } else if (options.scheme() == null) {
      return of(file).orElseThrow(() -> unknown(file));
    }
    int known = labels().indexOf(options.scheme());
    String wrong = "no naming scheme '%s'; known are %s";
    PerformerException.require(known >= 0, wrong, options.scheme(), labels());
    return all().get(known);
  }

  private static PerformerException unknown(WeightFile file) {
    List<String> first = file.tensors().keySet().stream().limit(3).map(Excerpt::of).toList();
    return new PerformerException(
            "%s: its names are of no model that is known here %s; they begin with %s; name every variable in a mapping file"
                .formatted(file.path(), labels(), first))
        .settledBy("mapping");
  }

  /**
   * Neither a checkpoint nor what lies beside it nor the options tell how it attends. All else that
   * was looked at is in order, so that whoever knows can give it and read again.
   */
  final class UnknownAttentionException extends PerformerException {
    private static final long serialVersionUID = 1;

    /** Names the settings that would tell it. */
    UnknownAttentionException(Path file, String lacks, String... settings) {
      super(file + ": " + lacks);
      settledBy(settings);
    }
  }
}
