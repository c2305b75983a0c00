package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.util.List;

/** The naming schemes that are known; the first one that recognizes a file has it. */
public final class NamingSchemes {
  private static final List<NamingScheme> ALL =
      List.of(
          new ModelGardenNaming(),
          new KerasPerformerNaming(),
          new HuggingFaceBertNaming(),
          new PerformerPytorchNaming(),
          new AttentionLayerNaming());

  private NamingSchemes() {}

  /**
   * The scheme of a file: the mapping file's where there is one, the one that is named, or the
   * first that recognizes the tensors.
   *
   * @throws PerformerException if there is none
   */
  public static NamingScheme of(WeightFile file, ImportOptions options) {
    if (options.mapping().isPresent()) {
      return new MappedNaming();
    }
    if (options.scheme().isPresent()) {
      return named(options.scheme().get());
    }
    return ALL.stream()
        .filter(scheme -> scheme.recognizes(file))
        .findFirst()
        .orElseThrow(
            () ->
                new PerformerException(
                    file.path()
                        + ": the names of its tensors fit no known scheme "
                        + labels()
                        + "; the first are "
                        + file.tensors().keySet().stream().limit(3).toList()
                        + "; name every variable in a --mapping file"));
  }

  private static NamingScheme named(String label) {
    return ALL.stream()
        .filter(scheme -> scheme.label().equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                new PerformerException(
                    "unknown naming scheme '"
                        + label
                        + "'; did you mean '"
                        + StrictJson.nearestOf(label, labels())
                        + "'?"));
  }

  /** Labels of all schemes. */
  public static List<String> labels() {
    return ALL.stream().map(NamingScheme::label).toList();
  }
}
