package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.model.FavorConversion;
import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine.Option;

/** How attention is estimated; null where it is not given. */
final class FavorOptions {
  @Option(
      names = "--kernel",
      description =
          "Of FAVOR+: ${COMPLETION-CANDIDATES} (default in place of exact attention: the softmax kernel with the least error).")
  Kernel kernel;

  @Option(
      names = "--features",
      description =
          "M, the directions of each projection; 0 for none (default in place of exact attention: 256).")
  Integer features;

  @Option(
      names = "--lengths",
      description =
          "How long rows of a drawn projection are: chi (unbiased) or sqrt-d (default in place of exact attention: sqrt-d).")
  Projection.Lengths lengths;

  @Option(
      names = "--seed",
      description =
          "Of a projection that is drawn (default in place of exact attention: 0; layer i adds i).")
  Long seed;

  @Option(
      names = "--layers",
      description =
          "In which layers FAVOR+ takes the place of exact attention, such as 0,2-5 (default: in all that attend exactly).")
  String layers;

  @Option(
      names = "--exact-heads",
      description =
          "The first K heads go on attending exactly where FAVOR+ takes the place of exact attention (default: 0).")
  Integer exactHeads;

  /** What is given. */
  FavorKeys given() {
    return FavorConfig.builder()
        .kernel(kernel)
        .features(features)
        .lengths(lengths)
        .seed(seed)
        .exactHeads(exactHeads);
  }

  /** What takes the place of exact attention. */
  FavorConversion conversion() {
    return new FavorConversion(given().over(FavorConversion.defaults()).build(), layers(layers));
  }

  /** Layers of a list of numbers and ranges; empty for no list. */
  private static Set<Integer> layers(String list) {
    Set<Integer> layers = new TreeSet<>();
    if (list == null) {
      return layers;
    }
    for (String part : list.split(",", -1)) {
      PerformerException.require(
          part.strip().matches("\\d{1,4}(-\\d{1,4})?"),
          "--layers: '%s' is no layer; give numbers and ranges, such as 0,2-5",
          part);
      String[] ends = part.strip().split("-");
      int first = Integer.parseInt(ends[0]);
      int last = Integer.parseInt(ends[ends.length - 1]);
      PerformerException.require(last >= first, "--layers: '%s' ends before it begins", part);
      for (int i = first; i <= last; i++) {
        layers.add(i);
      }
    }
    return layers;
  }
}
