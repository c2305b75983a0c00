package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.List;
import java.util.Optional;

/** All naming schemes, the most particular first. */
public final class NamingSchemes {
  private static final List<NamingScheme> ALL =
      List.of(
          new ProteinLmNaming(),
          new LraNaming(),
          new ModelGardenNaming(),
          new KerasPerformerNaming(),
          new HuggingFaceBertNaming(),
          new PerformerPytorchNaming(),
          new AttentionLayerNaming());

  private NamingSchemes() {}

  /** The first scheme whose names a file has. */
  public static Optional<NamingScheme> of(WeightFile file) {
    return ALL.stream().filter(scheme -> scheme.recognizes(file)).findFirst();
  }

  /**
   * The mapping file that is given, the scheme that a person names, or the first that recognizes a
   * file.
   *
   * @throws PerformerException if there is none
   */
  static NamingScheme of(WeightFile file, ImportOptions options) {
    if (options.mapping() != null) {
      return new MappedNaming();
    }
    if (options.scheme() == null) {
      return of(file).orElseThrow(() -> unknown(file));
    }
    for (NamingScheme scheme : ALL) {
      if (scheme.label().equals(options.scheme())) {
        return scheme;
      }
    }
    throw new PerformerException(
        "no naming scheme '" + options.scheme() + "'; known are " + labels());
  }

  private static PerformerException unknown(WeightFile file) {
    List<String> first = file.tensors().keySet().stream().limit(3).map(Excerpt::of).toList();
    return new PerformerException(
            "%s: its names are of no model that is known here %s; they begin with %s; name every variable in a mapping file"
                .formatted(file.path(), labels(), first))
        .settledBy("mapping");
  }

  /** What the schemes are called. */
  public static List<String> labels() {
    return ALL.stream().map(NamingScheme::label).toList();
  }
}
