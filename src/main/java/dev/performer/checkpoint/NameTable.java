package dev.performer.checkpoint;

import dev.performer.checkpoint.WeightMap.Layout;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A producer's names of parts of a Transformer; names of weights are the same for all. */
final class NameTable {
  private static final Pattern WEIGHT =
      Pattern.compile(
          "(.*)[./](weight|kernel|embeddings?|pos_embedding|table|scale|gamma|vars/0"
              + "|bias|beta|vars/1|projection_matrix)");
  private static final Pattern TABLE = Pattern.compile("embeddings/(token|position|type)");

  private record Rule(Pattern part, String place) {}

  private final Layout dense;
  private final List<Rule> rules = new ArrayList<>();

  /**
   * Rules are lines {@code part -> place}, of which the first that matches behind the prefix
   * counts: {@code {i}} is the number of a layer, {@code $2} what the group behind it matches.
   */
  NameTable(Layout dense, String prefix, String rules) {
    this.dense = dense;
    for (String rule : rules.strip().split("\n")) {
      String[] sides = rule.split(" -> ");
      String part = sides[0].replace("{i}", "(?<i>\\d{1,6})");
      String place = sides[1].replace("{i}", "${i}");
      this.rules.add(new Rule(Pattern.compile("^" + prefix + "(?:" + part + ")$"), place));
    }
  }

  /** How kernels lie. */
  Layout dense() {
    return dense;
  }

  /** Our name of a foreign variable; null if no rule knows it. */
  String variable(String name) {
    Matcher weight = WEIGHT.matcher(name);
    if (!weight.matches()) {
      return null;
    }
    for (Rule rule : rules) {
      Matcher part = rule.part().matcher(weight.group(1));
      if (part.find()) {
        String place = part.replaceFirst(rule.place());
        return place + leaf(place, weight.group(2));
      }
    }
    return null;
  }

  private static String leaf(String place, String weight) {
    return switch (weight) {
      case "bias", "beta", "vars/1" -> "/bias";
      case "projection_matrix" -> "/projection";
      default ->
          TABLE.matcher(place).matches() ? "" : place.endsWith("norm") ? "/scale" : "/kernel";
    };
  }

  /** Whether a rule knows one of the names as a variable of that pattern. */
  boolean knows(Collection<String> names, String variable) {
    return names.stream().map(this::variable).anyMatch(v -> v != null && v.matches(variable));
  }

  /** Notes which variable a tensor of that name is, if a rule knows it. */
  void place(WeightMap map, String tensor, String name) {
    place(map, tensor, variable(name), "");
  }

  /** As above for a name that was looked up; @param prefix of the variable */
  void place(WeightMap map, String tensor, String variable, String prefix) {
    place(map, tensor, variable, prefix, dense);
  }

  /** As above for a tensor of another layout. */
  void place(WeightMap map, String tensor, String variable, String prefix, Layout layout) {
    if (variable != null) {
      boolean isTable = TABLE.matcher(variable).matches() || variable.endsWith("/projection");
      map.put(prefix + variable, tensor, isTable ? Layout.SAME : layout);
    }
  }
}
