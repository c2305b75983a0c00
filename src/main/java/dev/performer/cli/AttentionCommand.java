package dev.performer.cli;

import dev.performer.chart.HeatMap;
import dev.performer.data.DataFile;
import dev.performer.data.RowSource;
import dev.performer.pipeline.AttentionMap;
import dev.performer.pipeline.AttentionMaps;
import dev.performer.pipeline.AttentionReport;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.TokenInput;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "attention",
    description = {
      "What each token attends to, in every layer and head of a model that was trained or imported here.",
      "",
      "The matrix that mixes values, which linear attention never computes, row by row: the most important sources of a query, and",
      "how near each head is to exact attention of the same queries and keys. Memory is linear in the length, time is not.",
      "Y.npz has 'sources' and 'weights' [N, layers, H, L, k], 'tokens' [N, S], 'lengths', 'layers', 'distance', 'cosine', 'common'",
      "[N, layers, H]; of sequences of up to "
          + HeatMap.MOST
          + " positions, or of --rows, also 'attention' [N, layers, H, R, S] and its 'queries' [N, R]."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer attention MODEL --inputs x.fasta --plot maps.png",
      "  ./performer attention MODEL --inputs long.txt --length 16384 --rows 0,-1 --output rows.npz"
    })
final class AttentionCommand extends PerformerCommand.OnModel {
  @Option(
      names = {"--inputs", "--data"},
      required = true,
      paramLabel = "X",
      description =
          "FASTA, .txt, .csv, .tsv, .parquet or an .npz with token ids 'tokens' [N, L]; a folder of these, or a pattern in quotes. May be given several times.")
  private List<Path> inputs;

  @Option(
      names = "--text-column",
      paramLabel = "NAME",
      description = "Of a table (default: sequence, text or tokens).")
  private String text;

  @Option(
      names = "--id-column",
      paramLabel = "NAME",
      description = "Of a table (default: id, else rows have numbers).")
  private String id;

  @Option(
      names = "--length",
      paramLabel = "L",
      description =
          "Tokens of a sequence at most; longer ones are cropped (default: "
              + TokenInput.DEFAULT_LENGTH
              + ", or what the model takes if that is less).")
  private Integer length;

  @Option(names = "--sequences", paramLabel = "N", description = "How many (default: 1).")
  private int sequences = 1;

  @Option(names = "--top", paramLabel = "K", description = "Sources of a query (default: 5).")
  private int top = AttentionMaps.Options.DEFAULT.top();

  @Option(names = "--layers", description = "Such as 0,2-5 (default: all).")
  private String layers;

  @Option(
      names = "--rows",
      split = ",",
      description =
          "Positions of queries that are shown, negative ones from the end (default: -1).")
  private List<Integer> rows;

  @Option(
      names = "--output",
      paramLabel = "Y.npz",
      description = "For all weights that were found.")
  private Path target;

  @Option(
      names = "--plot",
      paramLabel = "FILE.png",
      description =
          "Draw the maps of the first sequence, white for 0 and dark for a map's largest.")
  private Path plot;

  @Mixin private SharedOptions.Tensors tensors;

  @Override
  public Integer call() {
    boolean isSound = sequences >= 1 && top >= 1 && (length == null || length >= 1);
    requireUsage(isSound, "--sequences, --top and --length must be at least 1");
    var columns = new RowSource.Columns(text, id, List.of(), List.of());
    Set<Integer> some = layers == null ? Set.of() : SharedOptions.layers(layers);
    var options = new AttentionMaps.Options(top, some, rows, length);
    Model opened = Model.open(model, tensors.given());
    List<AttentionMap> maps = new ArrayList<>();
    try (var all = AttentionMaps.load(opened, options, RowSource.isIds(inputs, columns))) {
      all.input().notes().forEach(System.err::println);
      var read = all.read(inputs, columns, sequences);
      read.report().ifPresent(line -> System.err.println(read.source() + ": " + line));
      for (int i = 0; i < read.names().size(); i++) {
        maps.add(all.of(read.names().get(i), read.ids().get(i)));
      }
    }
    var report = new AttentionReport(opened.config().orElseThrow(), maps);
    if (plot != null) {
      byte[] png = maps.get(0).png();
      DataFile.write(plot, out -> out.write(png));
    }
    text().print(report.table());
    for (AttentionMap map : maps) {
      for (int query : shown(map)) {
        print("");
        text().print(report.sources(map, query));
      }
    }
    if (target != null) {
      write(target, report.arrays());
    }
    return done(report.json(this::shown));
  }

  private int[] shown(AttentionMap map) {
    return rows == null ? new int[] {map.length() - 1} : map.kept();
  }
}
