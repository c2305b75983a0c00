package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.model.FavorConversion;
import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What takes the place of exact attention, and where. */
final class ConversionOptions {
  @Mixin FavorOptions favor;

  @Option(
      names = "--layers",
      description = "Where FAVOR+ replaces exact attention, such as 0,2-5 (default: everywhere).")
  private String layers;

  @Option(names = "--exact-heads", description = "First heads that stay exact (default: 0).")
  private Integer exactHeads;

  boolean isGiven() {
    return layers != null || exactHeads != null;
  }

  FavorConversion conversion() {
    var given = favor.given().exactHeads(exactHeads).over(FavorConversion.defaults());
    return new FavorConversion(given.build(), layers(layers));
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
