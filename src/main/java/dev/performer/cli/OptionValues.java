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
import dev.performer.savedmodel.ServingForm;
import dev.performer.study.BenchmarkedAttention;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How the values of options are read. */
final class OptionValues {
  // In seconds where there is no unit.
  private static final Pattern TIME =
      Pattern.compile("(\\d{1,9}(?:\\.\\d{1,3})?)(ms|s|m|h|)", Pattern.CASE_INSENSITIVE);

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
    registerLabels(line, ServingForm.Precision.class);
    line.registerConverter(Path.class, OptionValues::path);
    line.registerConverter(Duration.class, OptionValues::time);
  }

  private static Duration time(String text) {
    Matcher time = TIME.matcher(text.strip());
    if (!time.matches()) {
      throw new TypeConversionException("'" + text + "' is no time such as 500ms, 30s, 5m or 1h");
    }
    double millis =
        Double.parseDouble(time.group(1))
            * switch (time.group(2).toLowerCase(Locale.ROOT)) {
              case "ms" -> 1;
              case "m" -> 60_000;
              case "h" -> 3_600_000;
              default -> 1000;
            };
    return Duration.ofMillis(Math.round(millis));
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
