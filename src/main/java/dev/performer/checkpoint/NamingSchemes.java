package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

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

  /** The mapping file that is given, else the scheme that is, else the first that recognizes. */
  static NamingScheme of(WeightFile file, ImportOptions options) {
    if (options.mapping() != null) {
      return new MappedNaming();
    }
    if (options.scheme() == null) {
      return of(file).orElseThrow(() -> unknown(file));
    }
    int known = labels().indexOf(options.scheme());
    require(known >= 0, "no naming scheme '%s'; known are %s", options.scheme(), labels());
    return ALL.get(known);
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
