package dev.performer.data;

/**
 * One record of a FASTA file.
 *
 * @param id the first word after {@code >}; may be empty, and need not be unique
 * @param description the rest of that line; may be empty
 * @param residues all letters as the file has them, without white space; may be empty
 */
public record ProteinSequence(String id, String description, String residues) {}
