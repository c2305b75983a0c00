package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.data.Labels;
import dev.performer.model.TextEmbedding;
import dev.performer.pipeline.ModelOptions;
import dev.performer.recipe.RecipeData;
import dev.performer.savedmodel.ModelCard;
import dev.performer.study.BenchmarkedAttention;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How the values of options are read. */
final class OptionValues {
  private OptionValues() {}

  static void register(CommandLine line) {
    line.setCaseInsensitiveEnumValuesAllowed(true);
    register(line, Kernel.class, Kernel::of);
    register(line, Convention.class, Convention::of);
    register(line, BenchmarkedAttention.class, BenchmarkedAttention::of);
    register(line, Projection.Directions.class, Projection.Directions::of);
    register(line, Projection.Lengths.class, Projection.Lengths::of);
    registerLabels(line, RecipeData.Crop.class);
    registerLabels(line, ModelCard.Objective.class);
    registerLabels(line, ModelOptions.MaskedTokens.class);
    registerLabels(line, TextEmbedding.Pooling.class);
    line.registerConverter(Path.class, OptionValues::path);
  }

  private static Path path(String text) {
    if (text.isBlank()) {
      throw new TypeConversionException("the path is empty");
    }
    return Path.of(text);
  }

  /** A value that its type refuses is wrong usage. */
  private static <T> void register(CommandLine line, Class<T> type, ITypeConverter<T> converter) {
    line.registerConverter(
        type,
        text -> {
          try {
            return converter.convert(text);
          } catch (PerformerException e) {
            throw new TypeConversionException(e.getMessage());
          }
        });
  }

  /** Constants as users write them, such as {@code masked-lm}. */
  private static <E extends Enum<E>> void registerLabels(CommandLine line, Class<E> type) {
    List<E> known = List.of(type.getEnumConstants());
    register(
        line, type, text -> Labels.find("value", label(text), known, value -> label(value.name())));
  }

  /** A constant's name as users write it. */
  static String label(String text) {
    return text.toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
