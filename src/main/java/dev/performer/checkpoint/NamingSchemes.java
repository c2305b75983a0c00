package dev.performer.checkpoint;

import java.util.List;
import java.util.Optional;

/** The naming schemes that are known; the first one that recognises a file has it. */
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

  /** The scheme whose names a file has. */
  public static Optional<NamingScheme> of(WeightFile file) {
    return ALL.stream().filter(scheme -> scheme.recognizes(file)).findFirst();
  }

  /** Labels of all schemes. */
  public static List<String> labels() {
    return ALL.stream().map(NamingScheme::label).toList();
  }
}
